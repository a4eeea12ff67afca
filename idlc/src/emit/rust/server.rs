//! Server traits, dispatch, tickets, and servers of several protocols.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::client::expect_many;
use super::messages::{Side, has_optional};
use super::{Emitter, docs, fresh, ident, is_plain, literal, ordinal};
use crate::ir::{BadgeClass, Carried, Message, Method, Param, Protocol, Reference, Server};
use crate::names::camel;

impl Emitter<'_> {
    /// The server's half of a protocol's module.
    pub(super) fn server_side(&self, protocol: &Protocol) -> TokenStream {
        let (marker, name) = (
            ident(&protocol.info.name),
            format_ident!("{}Server", protocol.info.name),
        );
        let what = format!(" Server of [`{}`].", protocol.info.name);
        let methods = protocol
            .methods
            .iter()
            .map(|method| self.trait_method(protocol, method));
        let arms = protocol.methods.iter().map(|method| {
            let (ordinal, handler) = (ordinal(method.ordinal), handler_name(method));
            let arguments = if method.deferrable {
                quote! { server, incoming, ticket }
            } else {
                quote! { server, incoming }
            };
            if is_quick(method) {
                quote! { #ordinal => #handler(#arguments).map(rt::Answer::Words) }
            } else {
                quote! { #ordinal => #handler(#arguments) }
            }
        });
        let quick = quick(
            protocol
                .methods
                .iter()
                .filter(|method| is_quick(method))
                .map(|method| {
                    let (ordinal, handler) = (ordinal(method.ordinal), handler_name(method));
                    quote! { #ordinal => #handler(server, incoming).ok() }
                }),
        );
        let handlers = protocol
            .methods
            .iter()
            .map(|method| self.handler(protocol, method));
        let encoders = protocol
            .methods
            .iter()
            .map(|method| self.encoder(protocol, method));
        let tickets = protocol
            .methods
            .iter()
            .filter(|method| method.deferrable)
            .map(|m| self.ticket(protocol, m));
        let unused = protocol
            .methods
            .iter()
            .all(|method| !method.deferrable)
            .then(|| quote! { let _ = ticket; });
        let body = quote! {
            #unused
            let answer = match incoming.tag {
                #(#arms,)*
                _ => Err(rt::WireError::UnknownMethod),
            };
            answer.unwrap_or_else(rt::Answer::Refused)
        };
        quote! {
            #[doc = #what]
            pub trait #name { #(#methods)* }

            #(#tickets)*

            impl<S: #name> rt::Dispatch<S> for #marker {
                #quick

                #[inline]
                fn dispatch(
                    server: &mut S,
                    incoming: &rt::Incoming,
                    ticket: impl FnOnce() -> Option<rt::Ticket>,
                ) -> rt::Answer {
                    #body
                }
            }

            #(#handlers)*
            #(#encoders)*
        }
    }

    fn trait_method(&self, protocol: &Protocol, method: &Method) -> TokenStream {
        let params = &method.request.params;
        let mut more = Vec::new();
        if method.deferrable {
            more.extend([
                String::new(),
                "The answer may come later: keep the ticket, return [`rt::Response::Later`]."
                    .to_owned(),
            ]);
        }
        if let (Some(error), false) = (&method.error, method.deferrable) {
            more.extend([
                String::new(),
                "# Errors".to_owned(),
                format!("A {} of the server's choice.", self.link(error)),
            ]);
        }
        let docs_ = docs(
            &method.info,
            &format!("Method `{}`.", method.info.name),
            &more,
        );
        let (name, caller) = (ident(&method.info.name), fresh("caller", params));
        let arguments: Vec<_> = params
            .iter()
            .map(|param| {
                let (name, ty) = (ident(&param.info.name), self.arriving(param, false));
                quote! { #name: #ty }
            })
            .collect();
        let later = method.deferrable.then(|| {
            let (later, ticket) = (fresh("later", params), ticket_name(protocol, method));
            quote! { #later: rt::Later<'_, #ticket>, }
        });
        let many = expect_many(params.len() + 2 + usize::from(method.deferrable));
        let convention = ["from_", "into_"]
            .iter()
            .any(|start| method.info.name.starts_with(start));
        let convention = convention.then(|| {
            quote! { #[expect(clippy::wrong_self_convention, reason = "the interface calls it so")] }
        });
        let result = self.server_result(protocol, method);
        let returns = result.map(|result| quote! { -> #result });
        quote! { #docs_ #many #convention fn #name(&mut self, #caller: rt::Caller, #later #(#arguments),*) #returns; }
    }

    /// What a method of the server trait returns; nothing at all if `None`.
    pub(super) fn server_result(
        &self,
        protocol: &Protocol,
        method: &Method,
    ) -> Option<TokenStream> {
        let value = self.result_type(protocol, method, Side::Server);
        let error = self.error_type(method);
        if method.oneway {
            None
        } else if method.deferrable {
            Some(quote! { rt::Response<#value, #error> })
        } else if method.error.is_some() {
            Some(quote! { Result<#value, #error> })
        } else if method.response.params.is_empty() {
            None
        } else {
            Some(value)
        }
    }

    /// Decodes a request, calls the server and encodes its answer.
    fn handler(&self, protocol: &Protocol, method: &Method) -> TokenStream {
        let (handler, name) = (handler_name(method), ident(&method.info.name));
        let trait_name = format_ident!("{}Server", protocol.info.name);
        let request = &method.request;
        let (incoming, image) = (format_ident!("incoming"), format_ident!("image"));
        let before = self.before_reading(request, &incoming, &image);
        let values: Vec<_> = request
            .params
            .iter()
            .map(|param| {
                self.read(request, param, Side::Server, &incoming, &image)
                    .tried()
            })
            .collect();
        let admit = self.admit(protocol, method);
        let call = quote! { server.#name(caller, #(#values),*) };
        let encode = encoder_name(method);
        let (generic, argument) = if method.deferrable {
            (
                quote! { , ticket: impl FnOnce() -> Option<rt::Ticket> },
                true,
            )
        } else {
            (TokenStream::new(), false)
        };
        let (returns, inline) = if is_quick(method) {
            (quote! { rt::Outgoing<0> }, quote! { #[inline(always)] })
        } else {
            (quote! { rt::Answer }, quote! { #[inline] })
        };
        let words = |result: TokenStream| {
            let answer = if is_quick(method) {
                quote! { #encode(#result) }
            } else {
                encoded(method, &result)
            };
            quote! { Ok(#answer) }
        };
        let finish = if method.oneway {
            quote! { #call; Ok(rt::Answer::Nothing) }
        } else if argument {
            let now = encoded(method, &quote! { result });
            let later = quote! { rt::Later::new(ticket, &mut kept) };
            quote! {
                let Some(ticket) = ticket() else { return Err(rt::WireError::Busy) };
                let mut kept = false;
                let response = server.#name(caller, #later, #(#values),*);
                Ok(match response {
                    _ if kept => rt::Answer::Kept,
                    rt::Response::Now(result) => #now,
                    rt::Response::Later => rt::Answer::Refused(rt::WireError::Dropped),
                })
            }
        } else if method.error.is_some() {
            words(call)
        } else if method.response.params.is_empty() {
            let answer = words(quote! { Ok(()) });
            quote! { #call; #answer }
        } else {
            words(quote! { Ok(#call) })
        };
        quote! {
            #inline
            fn #handler<S: #trait_name>(server: &mut S, incoming: &rt::Incoming #generic) -> Result<#returns, rt::WireError> {
                let caller = #admit;
                #before
                #finish
            }
        }
    }

    fn admit(&self, protocol: &Protocol, method: &Method) -> TokenStream {
        let kind = if method.oneway {
            quote! { OneWay }
        } else {
            quote! { Call }
        };
        let words = literal(method.request.words);
        let class = match protocol.class {
            BadgeClass::Any => quote! { Any },
            BadgeClass::Session => quote! { Session },
            BadgeClass::Object => quote! { Object },
        };
        let own = Reference {
            package: self.package.name.clone(),
            name: protocol.info.name.clone(),
        };
        let requires = self.rights(&method.requires, Some(&own));
        let caps = literal(method.request.caps);
        let caps = if has_optional(&method.request) {
            let fewer = literal(method.request.caps - 1);
            quote! { incoming.outcome.cap_count().clamp(#fewer, #caps) }
        } else {
            quote! { #caps }
        };
        quote! { incoming.admit(rt::Kind::#kind, #words, #caps, rt::BadgeClass::#class, #requires)? }
    }

    /// Turns a result into an answer.
    fn encoder(&self, protocol: &Protocol, method: &Method) -> TokenStream {
        if method.oneway {
            return TokenStream::new();
        }
        let (encode, response) = (encoder_name(method), &method.response);
        let (value, failed) = (
            self.result_type(protocol, method, Side::Server),
            self.error_type(method),
        );
        let single = response.params.len() == 1;
        let access = |param: &Param| {
            let name = ident(&param.info.name);
            if single {
                quote! { value }
            } else {
                quote! { value.#name }
            }
        };
        let (before, outgoing) = self.outgoing(response, &quote! { 0 }, true, &access);
        let bind = if response.params.is_empty() {
            quote! { () }
        } else {
            quote! { value }
        };
        // What has capabilities may still become a refusal; words are a message.
        let (returns, error) = if response.caps > 0 {
            (
                quote! { rt::Answer },
                quote! { rt::Answer::Words(rt::Outgoing::error(error.number())) },
            )
        } else {
            (
                quote! { rt::Outgoing<0> },
                quote! { rt::Outgoing::error(error.number()) },
            )
        };
        let success = if response.caps > 0 {
            quote! { rt::Answer::Caps(#outgoing) }
        } else {
            outgoing
        };
        let success = if before.is_empty() {
            success
        } else {
            quote! { { #before #success } }
        };
        let failure = if method.error.is_some() {
            quote! { Err(error) => #error, }
        } else {
            quote! { Err(error) => match error {}, }
        };
        quote! {
            #[inline]
            fn #encode(result: Result<#value, #failed>) -> #returns {
                match result {
                    Ok(#bind) => #success,
                    #failure
                }
            }
        }
    }

    fn ticket(&self, protocol: &Protocol, method: &Method) -> TokenStream {
        let name = ticket_name(protocol, method);
        let answer = encoded(method, &quote! { result });
        let what = format!(
            " A caller of [`{0}Server::{1}`] that waits for its answer.",
            protocol.info.name, method.info.name
        );
        let (value, error) = (
            self.result_type(protocol, method, Side::Server),
            self.error_type(method),
        );
        quote! {
            #[doc = #what]
            #[derive(Debug, PartialEq, Eq)]
            pub struct #name(rt::Ticket);

            impl From<rt::Ticket> for #name {
                fn from(ticket: rt::Ticket) -> Self { Self(ticket) }
            }

            impl #name {
                #[doc = " Answers the caller."]
                #[doc = ""]
                #[doc = " # Errors"]
                #[doc = " What the kernel says, if the answer could not be delivered."]
                pub fn answer<P: rt::ServerPort>(self, port: &mut P, result: Result<#value, #error>) -> Result<(), rt::Status> {
                    #answer.deliver(port, self.0)
                }
            }
        }
    }

    /// A server of several protocols.
    pub(super) fn server(&self, server: &Server) -> TokenStream {
        let protocols: Vec<_> = server
            .protocols
            .iter()
            .filter_map(|p| Some((p, self.interface.protocol(p)?)))
            .filter(|(_, p)| !p.methods.is_empty())
            .collect();
        let list: Vec<_> = server
            .protocols
            .iter()
            .map(|p| format!("`{}`", p.name))
            .collect();
        let more = [
            String::new(),
            format!("Serves {}; no value of it exists.", list.join(", ")),
        ];
        let docs_ = docs(
            &server.info,
            &format!("Server `{}`.", server.info.name),
            &more,
        );
        let name = ident(&server.info.name);
        let bounds = protocols.iter().map(|(reference, _)| {
            self.path(&Reference {
                name: format!("{}Server", reference.name),
                ..(*reference).clone()
            })
        });
        let arms = protocols.iter().map(|(reference, protocol)| {
            let (path, tags) = (self.path(reference), tag_pattern(protocol));
            quote! { #tags => #path::dispatch(server, incoming, ticket) }
        });
        let quick = quick(protocols.iter().filter_map(|(reference, protocol)| {
            let mut quick = (*protocol).clone();
            quick.methods.retain(is_quick);
            let (path, tags) = (self.path(reference), tag_pattern(&quick));
            (!quick.methods.is_empty()).then(|| quote! { #tags => #path::quick(server, incoming) })
        }));
        quote! {
            #docs_
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum #name {}

            impl<S: #(#bounds)+*> rt::Dispatch<S> for #name {
                #quick

                #[inline]
                fn dispatch(
                    server: &mut S,
                    incoming: &rt::Incoming,
                    ticket: impl FnOnce() -> Option<rt::Ticket>,
                ) -> rt::Answer {
                    match incoming.tag {
                        #(#arms,)*
                        _ => rt::Answer::Refused(rt::WireError::UnknownMethod),
                    }
                }
            }
        }
    }
}

/// The ordinals of a protocol as a pattern, with runs as ranges.
fn tag_pattern(protocol: &Protocol) -> TokenStream {
    let mut tags: Vec<u32> = protocol
        .methods
        .iter()
        .map(|method| method.ordinal)
        .collect();
    tags.sort_unstable();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for tag in tags {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == tag => *last = tag,
            _ => runs.push((tag, tag)),
        }
    }
    let runs = runs.into_iter().map(|(first, last)| {
        let (from, to) = (ordinal(first), ordinal(last));
        match last - first {
            0 => quote! { #from },
            1 => quote! { #from | #to },
            _ => quote! { #from..=#to },
        }
    });
    quote! { #(#runs)|* }
}

/// Whether a method is answered on the quick way: numbers and buffers in, numbers
/// out.
fn is_quick(method: &Method) -> bool {
    let brings_caps = |message: &Message| {
        let caps = |param: &Param| matches!(param.carried, Carried::Cap { .. });
        message.params.iter().any(caps)
    };
    let (request, response) = (&method.request, &method.response);
    let plain = is_plain(request) && !brings_caps(request);
    let answers_plainly = is_plain(response) && response.caps == 0;
    !method.oneway && !method.deferrable && plain && answers_plainly
}

/// The quick half of a dispatch, if there is anything in it.
fn quick(arms: impl Iterator<Item = TokenStream>) -> Option<TokenStream> {
    let arms: Vec<_> = arms.collect();
    (!arms.is_empty()).then(|| {
        quote! {
            #[inline(always)]
            fn quick(server: &mut S, incoming: &rt::Incoming) -> Option<rt::Outgoing<0>> {
                match incoming.tag {
                    #(#arms,)*
                    _ => None,
                }
            }
        }
    })
}

/// A result as an answer.
fn encoded(method: &Method, result: &TokenStream) -> TokenStream {
    let encode = encoder_name(method);
    if method.response.caps > 0 {
        quote! { #encode(#result) }
    } else {
        quote! { rt::Answer::Words(#encode(#result)) }
    }
}

fn handler_name(method: &Method) -> Ident {
    format_ident!("on_{}", method.info.name)
}

fn encoder_name(method: &Method) -> Ident {
    format_ident!("answer_{}", method.info.name)
}

pub(super) fn ticket_name(protocol: &Protocol, method: &Method) -> Ident {
    format_ident!("{}{}Ticket", protocol.info.name, camel(&method.info.name))
}
