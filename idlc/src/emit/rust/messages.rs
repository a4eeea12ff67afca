//! Parameters into words and capability slots, and back.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::{Emitter, fresh, ident, is_plain, literal};
use crate::ir::{Carried, Direction, Message, Object, Param};

/// Which side of a message code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The client: gives capabilities it holds, receives them in its window.
    Client,
    /// The server: receives capabilities as they come, gives grants.
    Server,
}

/// How a parameter is read.
pub(super) struct Read {
    /// The expression.
    pub(super) expression: TokenStream,
    /// Whether it is a `Result`.
    pub(super) fallible: bool,
}

impl Read {
    /// The value, in a function that can fail.
    pub(super) fn tried(&self) -> TokenStream {
        let expression = &self.expression;
        if self.fallible {
            quote! { #expression? }
        } else {
            quote! { #expression }
        }
    }

    /// The value as a `Result`.
    pub(super) fn as_result(&self) -> TokenStream {
        let expression = &self.expression;
        if self.fallible {
            quote! { #expression }
        } else {
            quote! { Ok(#expression) }
        }
    }
}

impl Emitter<'_> {
    /// Type of a parameter where it is given (in a request by the client, in a
    /// response by the server).
    pub(super) fn given(&self, param: &Param, response: bool) -> TokenStream {
        match &param.carried {
            Carried::Data { ty, .. } => self.ty(ty),
            Carried::Buffer { .. } => quote! { rt::Buffer },
            Carried::Cap {
                object, optional, ..
            } => {
                let kind = self.object(object);
                let cap = match object {
                    Object::Protocol(_) if response => quote! { rt::Grant<#kind> },
                    _ => quote! { rt::Cap<#kind> },
                };
                if *optional {
                    quote! { Option<#cap> }
                } else {
                    cap
                }
            }
        }
    }

    /// Type of a parameter where it arrives.
    pub(super) fn arriving(&self, param: &Param, response: bool) -> TokenStream {
        match &param.carried {
            Carried::Data { ty, .. } => self.ty(ty),
            Carried::Buffer { .. } => quote! { rt::BufferRange },
            Carried::Cap {
                object, optional, ..
            } => {
                let kind = self.object(object);
                let cap = match object {
                    Object::Protocol(_) if !response => quote! { rt::EndpointCap<#kind> },
                    _ => quote! { rt::Cap<#kind> },
                };
                if *optional {
                    quote! { Option<#cap> }
                } else {
                    cap
                }
            }
        }
    }

    /// Statements that make `words` of the values of parameters, and the words
    /// as an expression.
    pub(super) fn words(
        &self,
        message: &Message,
        value: &dyn Fn(&Param) -> TokenStream,
    ) -> (TokenStream, TokenStream) {
        if is_plain(message) {
            let words = (0..8).map(|index| self.word(message, index, value));
            return (TokenStream::new(), quote! { [#(#words),*] });
        }
        let image = fresh("image", &message.params);
        let puts = message.params.iter().filter_map(|param| {
            let value = value(param);
            match &param.carried {
                Carried::Data { offset, .. } => {
                    let offset = literal(*offset);
                    Some(quote! { rt::put(&mut #image, #offset, &#value); })
                }
                Carried::Buffer { offset, .. } => {
                    let (at, length) = (literal(*offset), literal(*offset + 8));
                    Some(quote! {
                        rt::put(&mut #image, #at, &#value.offset());
                        rt::put(&mut #image, #length, &#value.length());
                    })
                }
                Carried::Cap { .. } => None,
            }
        });
        (
            quote! { let mut #image = [0; 64]; #(#puts)* },
            quote! { rt::words_of(&#image) },
        )
    }

    /// One word as the union of the scalars in it.
    fn word(
        &self,
        message: &Message,
        index: u32,
        value: &dyn Fn(&Param) -> TokenStream,
    ) -> TokenStream {
        let mut terms: Vec<(u32, TokenStream)> = Vec::new();
        for param in &message.params {
            let it = value(param);
            match &param.carried {
                Carried::Data { ty, offset } if offset / 8 == index => {
                    let integer = self.integer_of(ty, &it);
                    let integer = if ty.size == 8 {
                        integer
                    } else {
                        quote! { u64::from(#integer) }
                    };
                    terms.push((offset % 8 * 8, integer));
                }
                Carried::Buffer { offset, .. } if offset / 8 == index => {
                    terms.push((0, quote! { #it.offset() }))
                }
                Carried::Buffer { offset, .. } if offset / 8 + 1 == index => {
                    terms.push((0, quote! { #it.length() }))
                }
                _ => {}
            }
        }
        terms.sort_by_key(|(shift, _)| *shift);
        let terms = terms.iter().map(|(shift, term)| match shift {
            0 => term.clone(),
            shift => {
                let shift = literal(*shift);
                quote! { #term << #shift }
            }
        });
        let terms: Vec<_> = terms.collect();
        if terms.is_empty() {
            quote! { 0 }
        } else {
            quote! { #(#terms)|* }
        }
    }

    /// The message as an expression, after the statements that it needs.
    /// Response slots are padded to the four of [`rt::Answer::Caps`].
    pub(super) fn outgoing(
        &self,
        message: &Message,
        tag: &TokenStream,
        response: bool,
        value: &dyn Fn(&Param) -> TokenStream,
    ) -> (TokenStream, TokenStream) {
        let (before, words) = self.words(message, value);
        let count = literal(message.words);
        if message.caps == 0 {
            return (before, quote! { rt::Outgoing::new(#tag, #words, #count) });
        }
        let mut slots: Vec<TokenStream> = Vec::new();
        let mut present = None;
        for param in &message.params {
            let it = value(param);
            match &param.carried {
                Carried::Data { .. } => {}
                Carried::Buffer { direction, .. } => {
                    let rights = match direction {
                        Direction::In => quote! { rt::Rights::READ.union(rt::Rights::MAP) },
                        Direction::Out => quote! { rt::Rights::WRITE.union(rt::Rights::MAP) },
                        Direction::Inout => {
                            quote! { rt::Rights::READ.union(rt::Rights::WRITE).union(rt::Rights::MAP) }
                        }
                    };
                    slots.push(quote! { #it.slot(#rights) });
                }
                Carried::Cap {
                    object,
                    rights,
                    moved,
                    optional,
                    ..
                } => {
                    let grant = response && matches!(object, Object::Protocol(_));
                    let cap = if *optional {
                        quote! { cap }
                    } else {
                        it.clone()
                    };
                    let arguments = if grant {
                        quote! { #moved }
                    } else if rights.names.is_empty() {
                        // What the caller narrowed it to, or all that is held.
                        quote! { #cap.rights(), #moved }
                    } else {
                        let rights = self.cap_rights(rights, object);
                        quote! { #rights, #moved }
                    };
                    if *optional {
                        slots.push(
                            quote! { #it.map(|cap| cap.slot(#arguments)).unwrap_or_default() },
                        );
                        present = Some(quote! { .last_cap_if(#it.is_some()) });
                    } else {
                        slots.push(quote! { #it.slot(#arguments) });
                    }
                }
            }
        }
        if response {
            let used = literal(message.caps);
            slots.resize(4, quote! { rt::CapSlot::default() });
            let count_caps = match present {
                Some(present) => {
                    quote! { rt::Outgoing { cap_count: #used, ..rt::Outgoing::with_caps(#tag, #words, #count, [#(#slots),*]) } #present }
                }
                None => {
                    quote! { rt::Outgoing { cap_count: #used, ..rt::Outgoing::with_caps(#tag, #words, #count, [#(#slots),*]) } }
                }
            };
            return (before, count_caps);
        }
        (
            before,
            quote! { rt::Outgoing::with_caps(#tag, #words, #count, [#(#slots),*]) #present },
        )
    }

    /// Statements that an arrived message needs before its parameters are read.
    pub(super) fn before_reading(
        &self,
        message: &Message,
        incoming: &Ident,
        image: &Ident,
    ) -> TokenStream {
        if is_plain(message) {
            TokenStream::new()
        } else {
            quote! { let #image = rt::image_of(&#incoming.words); }
        }
    }

    /// One parameter of an arrived message.
    pub(super) fn read(
        &self,
        message: &Message,
        param: &Param,
        side: Side,
        incoming: &Ident,
        image: &Ident,
    ) -> Read {
        let fallible = |expression| Read {
            expression,
            fallible: true,
        };
        match &param.carried {
            Carried::Data { ty, offset } if is_plain(message) => {
                let (expression, fallible) =
                    self.scalar_of(ty, &raw_integer(incoming, *offset, ty.size));
                Read {
                    expression,
                    fallible,
                }
            }
            Carried::Data { offset, .. } => {
                let offset = literal(*offset);
                fallible(quote! { rt::get(&#image, #offset) })
            }
            Carried::Buffer {
                direction,
                slot,
                offset,
            } => {
                let slot = literal(*slot);
                let (at, length) = (literal(offset / 8), literal(offset / 8 + 1));
                let reads = *direction != Direction::Out;
                let writes = *direction != Direction::In;
                fallible(quote! {
                    rt::BufferRange::decode(#incoming, #slot, #reads, #writes, #incoming.words[#at], #incoming.words[#length])
                })
            }
            Carried::Cap {
                object,
                rights,
                optional,
                slot,
                ..
            } => {
                let needed = self.cap_rights(rights, object);
                let at = literal(*slot);
                let read = if side == Side::Server && matches!(object, Object::Protocol(_)) {
                    quote! { #incoming.endpoint_cap(#at, #needed) }
                } else {
                    quote! { #incoming.cap(#at, #needed) }
                };
                if *optional {
                    let expression = quote! { if #incoming.outcome.cap_count() > #at { Some(#read?) } else { None } };
                    return Read {
                        expression,
                        fallible: false,
                    };
                }
                fallible(read)
            }
        }
    }

    /// A condition that the message has the right kind and size.
    pub(super) fn shape(&self, message: &Message, incoming: &TokenStream) -> TokenStream {
        let (words, caps) = (literal(message.words), literal(message.caps));
        let full = quote! { #incoming.has_shape(rt::Kind::Reply, #words, #caps) };
        if has_optional(message) {
            let fewer = literal(message.caps - 1);
            return quote! { (#full || #incoming.has_shape(rt::Kind::Reply, #words, #fewer)) };
        }
        full
    }
}

/// Whether the last capability may be missing.
pub(super) fn has_optional(message: &Message) -> bool {
    message
        .params
        .iter()
        .any(|param| matches!(param.carried, Carried::Cap { optional: true, .. }))
}

/// The integer of `size` bytes at a byte offset of the words.
fn raw_integer(incoming: &Ident, offset: u32, size: u32) -> TokenStream {
    let (index, shift) = (literal(offset / 8), offset % 8 * 8);
    let word = quote! { #incoming.words[#index] };
    if size == 8 {
        return word;
    }
    let int = ident(&format!("u{}", size * 8));
    if shift == 0 {
        return quote! { #word as #int };
    }
    let shift = literal(shift);
    quote! { (#word >> #shift) as #int }
}
