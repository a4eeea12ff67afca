//! Markers, rights, events and clients of protocols.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::{
    Emitter, docs, fresh, ident, literal,
    messages::{Read, Side},
    ordinal,
};
use crate::ir::{Carried, Method, Param, Protocol, Reference};
use crate::names::camel;

impl Emitter<'_> {
    /// The module of a protocol.
    pub(super) fn protocol(&self, protocol: &Protocol) -> TokenStream {
        let marker = self.marker(protocol);
        let events = self.events(protocol);
        let replies = protocol
            .methods
            .iter()
            .map(|method| self.reply_types(protocol, method));
        // What is only handed over needs neither.
        let called = !protocol.methods.is_empty();
        let client = called.then(|| self.client(protocol));
        let server = called.then(|| self.server_side(protocol));
        quote! {
            use gritos_idl_runtime as rt;
            #marker
            #events
            #(#replies)*
            #client
            #server
        }
    }

    fn marker(&self, protocol: &Protocol) -> TokenStream {
        let more = [
            String::new(),
            "Names the protocol in types of capabilities; no value of it exists.".to_owned(),
        ];
        let docs_ = docs(
            &protocol.info,
            &format!("Protocol `{}`.", protocol.info.name),
            &more,
        );
        let name = ident(&protocol.info.name);
        let rights = protocol.rights.iter().map(|right| {
            let docs = docs(&right.info, &format!("Right `{}`.", right.info.name), &[]);
            let (name, number) = (
                ident(&right.info.name),
                literal(right.value.trailing_zeros().saturating_sub(16)),
            );
            quote! { #docs pub const #name: rt::Rights = rt::Rights::server(#number); }
        });
        let rights = (!protocol.rights.is_empty()).then(|| quote! { impl #name { #(#rights)* } });
        quote! {
            #docs_
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum #name {}

            impl rt::object::Object for #name {
                const TYPE: rt::ObjectType = rt::ObjectType::Endpoint;
            }

            #rights
        }
    }

    fn events(&self, protocol: &Protocol) -> Option<TokenStream> {
        let what = format!(
            " Events of [`{}`], as bits of a notification.",
            protocol.info.name
        );
        let name = format!("{}Events", protocol.info.name);
        (!protocol.events.is_empty()).then(|| {
            super::types::flags_declaration(
                &quote! { #[doc = #what] },
                &name,
                "u64",
                &protocol.events,
            )
        })
    }

    /// Structures for methods with several results.
    fn reply_types(&self, protocol: &Protocol, method: &Method) -> TokenStream {
        if method.response.params.len() < 2 {
            return TokenStream::new();
        }
        let base = format!("{}{}", protocol.info.name, camel(&method.info.name));
        let structure = |suffix: &str, docs_: String, ty: &dyn Fn(&Param) -> TokenStream| {
            let name = format_ident!("{base}{suffix}");
            let fields = method.response.params.iter().map(|param| {
                let docs = docs(&param.info, &format!("Result `{}`.", param.info.name), &[]);
                let (name, ty) = (ident(&param.info.name), ty(param));
                quote! { #docs pub #name: #ty }
            });
            quote! {
                #[doc = #docs_]
                #[derive(Clone, Copy, Debug, PartialEq, Eq)]
                pub struct #name { #(#fields),* }
            }
        };
        let what = format!(
            " Results of [`{0}Client::{1}`].",
            protocol.info.name, method.info.name
        );
        let reply = structure("Reply", what, &|param| self.arriving(param, true));
        let answer = (method.response.caps > 0).then(|| {
            let what = format!(
                " What [`{0}Server::{1}`] answers.",
                protocol.info.name, method.info.name
            );
            structure("Answer", what, &|param| self.given(param, true))
        });
        quote! { #reply #answer }
    }

    /// Type of a method's result on a side.
    pub(super) fn result_type(
        &self,
        protocol: &Protocol,
        method: &Method,
        side: Side,
    ) -> TokenStream {
        match method.response.params.as_slice() {
            [] => quote! { () },
            [one] if side == Side::Client => self.arriving(one, true),
            [one] => self.given(one, true),
            _ => {
                let answers = side == Side::Server && method.response.caps > 0;
                let suffix = if answers { "Answer" } else { "Reply" };
                let name = format!("{}{}{suffix}", protocol.info.name, camel(&method.info.name));
                let package = self.package.name.clone();
                self.path(&Reference { package, name })
            }
        }
    }

    pub(super) fn error_type(&self, method: &Method) -> TokenStream {
        method
            .error
            .as_ref()
            .map_or_else(|| quote! { rt::NoError }, |error| self.path(error))
    }

    fn client(&self, protocol: &Protocol) -> TokenStream {
        let (marker, name) = (
            ident(&protocol.info.name),
            format_ident!("{}Client", protocol.info.name),
        );
        let what = format!(" Client of [`{}`].", protocol.info.name);
        let methods = protocol
            .methods
            .iter()
            .map(|method| self.client_method(protocol, method));
        quote! {
            #[doc = #what]
            #[derive(Clone, Copy, Debug)]
            pub struct #name<T> {
                target: rt::Cap<#marker>,
                transport: T,
            }

            impl<T: rt::Transport> #name<T> {
                #[doc = " Calls through `target`."]
                #[inline]
                pub const fn new(target: rt::Cap<#marker>, transport: T) -> Self {
                    Self { target, transport }
                }

                #[doc = " The capability that is called."]
                #[inline]
                pub const fn target(&self) -> rt::Cap<#marker> {
                    self.target
                }

                #(#methods)*
            }
        }
    }

    fn client_method(&self, protocol: &Protocol, method: &Method) -> TokenStream {
        let params = &method.request.params;
        let name = ident(&method.info.name);
        let docs_ = docs(
            &method.info,
            &format!("Method `{}`.", method.info.name),
            &self.method_notes(method),
        );
        let arguments = params.iter().map(|param| {
            let (name, ty) = (ident(&param.info.name), self.given(param, false));
            quote! { #name: #ty }
        });
        let tag = ordinal(method.ordinal);
        let (before, request) = self.outgoing(&method.request, &tag, false, &|param| {
            let name = ident(&param.info.name);
            quote! { #name }
        });
        let next = (method.info.name == "next" && params.is_empty())
            .then(|| quote! { #[expect(clippy::should_implement_trait, reason = "the interface calls it so")] });
        let many = expect_many(params.len() + 1).or(next);
        let error = self.error_type(method);
        if method.oneway {
            return quote! {
                #docs_
                #[inline]
                #many
                pub fn #name(&mut self, #(#arguments),*) -> Result<(), rt::Error<rt::NoError>> {
                    #before
                    rt::sent(self.transport.send(self.target.address(), #request))
                }
            };
        }
        let result = self.result_type(protocol, method, Side::Client);
        let (caps, window) = (literal(method.request.caps), literal(method.response.caps));
        let timeout = match method.deadline_ns {
            Some(ns) => {
                let ns = literal(ns);
                quote! { Some(#ns) }
            }
            None => quote! { None },
        };
        let (request_name, reply) = (fresh("request", params), fresh("reply", params));
        let call = quote! {
            self.transport.call::<#caps, #window>(self.target.address(), #request_name, #timeout)
        };
        let call = if method.idempotent {
            quote! {
                let mut #reply = #call;
                if #reply.server_died() {
                    #reply = #call;
                }
            }
        } else {
            quote! { let #reply = #call; }
        };
        let reply_tokens = quote! { #reply };
        let shape = self.shape(&method.response, &reply_tokens);
        let discard =
            (method.response.caps > 0).then(|| quote! { self.transport.discard(&#reply) });
        let decode = self.decode_response(protocol, method, &reply, discard.as_ref());
        let discard = discard.map(|discard| quote! { #discard; });
        quote! {
            #docs_
            #[inline]
            #many
            pub fn #name(&mut self, #(#arguments),*) -> Result<#result, rt::Error<#error>> {
                #before
                let #request_name = #request;
                #call
                if !#shape || #reply.tag != 0 {
                    #discard
                    return Err(rt::failure(#reply.outcome, #reply.tag));
                }
                #decode
            }
        }
    }

    fn decode_response(
        &self,
        protocol: &Protocol,
        method: &Method,
        reply: &proc_macro2::Ident,
        discard: Option<&TokenStream>,
    ) -> TokenStream {
        let params = &method.response.params;
        if params.is_empty() {
            return quote! { Ok(()) };
        }
        let image = format_ident!("image");
        let incoming = reply.clone();
        let before = self.before_reading(&method.response, &incoming, &image);
        let reads: Vec<_> = params
            .iter()
            .map(|param| self.read(&method.response, param, Side::Client, &incoming, &image))
            .collect();
        let result = self.result_type(protocol, method, Side::Client);
        let value = match reads.as_slice() {
            [one] => one.as_result(),
            _ => {
                let (names, values) = (
                    params.iter().map(|param| ident(&param.info.name)),
                    reads.iter().map(Read::tried),
                );
                quote! { Ok(#result { #(#names: #values),* }) }
            }
        };
        let discard = discard.map(|discard| quote! { .inspect_err(|_| #discard) });
        let decode = match reads.as_slice() {
            _ if reads.iter().all(|read| !read.fallible) && !self.nests_try(method) => {
                return quote! { #before #value };
            }
            [_] if !self.nests_try(method) => quote! { #before #value },
            _ => quote! {
                let decode = |#incoming: &rt::Incoming| -> Result<#result, rt::WireError> { #before #value };
                decode(&#reply)
            },
        };
        quote! { #decode #discard .map_err(rt::Error::BadReply) }
    }

    /// Whether reading an optional capability of the response has a `?` in it.
    fn nests_try(&self, method: &Method) -> bool {
        method
            .response
            .params
            .iter()
            .any(|param| matches!(param.carried, Carried::Cap { optional: true, .. }))
    }

    /// What the documentation of a method says besides its own words.
    fn method_notes(&self, method: &Method) -> Vec<String> {
        let mut notes = Vec::new();
        if !method.requires.names.is_empty() {
            let names: Vec<_> = method
                .requires
                .names
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            notes.extend([
                String::new(),
                format!(
                    "Needs right {} on the capability used.",
                    names.join(" and ")
                ),
            ]);
        }
        if let Some(ns) = method.deadline_ns {
            notes.extend([
                String::new(),
                format!("Waits for at most {}.", super::super::duration(ns)),
            ]);
        }
        if method.idempotent {
            notes.extend([
                String::new(),
                "Sent once more if the server dies on it.".to_owned(),
            ]);
        }
        notes.extend([String::new(), "# Errors".to_owned()]);
        notes.push(match (&method.error, method.oneway) {
            (_, true) => "If the message could not be sent.".to_owned(),
            (Some(error), _) => {
                format!("With [`rt::Error::Server`] and a {} if the server says no, else what went wrong on the way.", self.link(error))
            }
            (None, _) => "What went wrong on the way.".to_owned(),
        });
        notes
    }
}

/// Clippy's limit of seven arguments, `self` included, is for people.
pub(super) fn expect_many(arguments: usize) -> Option<TokenStream> {
    (arguments > 7).then(|| quote! { #[expect(clippy::too_many_arguments, reason = "one for each parameter of the method")] })
}
