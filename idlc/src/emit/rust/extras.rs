//! What is generated on request: a mock of each server, and functions that
//! turn bytes into messages for a fuzzer.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::{Emitter, ident, ordinal};
use crate::ir::{Method, Protocol};
use crate::names::snake;

impl Emitter<'_> {
    /// Mocks of all protocols, and their names.
    pub(super) fn mocks(&self) -> (Vec<String>, TokenStream) {
        let called = || {
            self.package
                .protocols
                .iter()
                .filter(|p| !p.methods.is_empty())
        };
        let mut names: Vec<_> = called().map(|p| format!("{}Mock", p.info.name)).collect();
        names.sort();
        let mocks = called().map(|protocol| self.mock(protocol));
        let code = quote! {
            #![allow(clippy::type_complexity, reason = "the functions have the types that the methods have")]
            use gritos_idl_runtime as rt;
            #(#mocks)*
        };
        (names, code)
    }

    fn mock(&self, protocol: &Protocol) -> TokenStream {
        let name = format_ident!("{}Mock", protocol.info.name);
        let server = format_ident!("{}Server", protocol.info.name);
        let what = format!(
            " A server of [`{0}`](crate::{0}) made of functions, which share a context.",
            protocol.info.name
        );
        let fields = protocol.methods.iter().map(|method| {
            let docs = format!(" Answers `{}`.", method.info.name);
            let name = ident(&method.info.name);
            let (types, result) = self.signature(protocol, method);
            let returns = result.map(|result| quote! { -> #result });
            quote! { #[doc = #docs] pub #name: fn(&mut C, rt::Caller, #(#types),*) #returns }
        });
        let methods = protocol.methods.iter().map(|method| {
            let name = ident(&method.info.name);
            let (types, result) = self.signature(protocol, method);
            let returns = result.map(|result| quote! { -> #result });
            let arguments: Vec<_> = (0..types.len())
                .map(|i| format_ident!("argument_{i}"))
                .collect();
            quote! {
                fn #name(&mut self, caller: rt::Caller, #(#arguments: #types),*) #returns {
                    (self.#name)(&mut self.context, caller, #(#arguments),*)
                }
            }
        });
        quote! {
            #[doc = #what]
            #[derive(Clone, Debug)]
            pub struct #name<C> {
                #[doc = " What the functions share."]
                pub context: C,
                #(#fields),*
            }

            impl<C> crate::#server for #name<C> {
                #(#methods)*
            }
        }
    }

    /// Types of a server method's arguments behind the caller, and its result.
    fn signature(
        &self,
        protocol: &Protocol,
        method: &Method,
    ) -> (Vec<TokenStream>, Option<TokenStream>) {
        let mut types = Vec::new();
        if method.deferrable {
            let ticket = super::server::ticket_name(protocol, method);
            types.push(quote! { rt::Later<'_, crate::#ticket> });
        }
        types.extend(
            method
                .request
                .params
                .iter()
                .map(|param| self.arriving(param, false)),
        );
        (types, self.server_result(protocol, method))
    }

    /// A function per protocol that dispatches a message made of bytes.
    pub(super) fn fuzzers(&self) -> (Vec<String>, TokenStream) {
        let called = || {
            self.package
                .protocols
                .iter()
                .filter(|p| !p.methods.is_empty())
        };
        let mut names: Vec<_> = called()
            .map(|p| format!("fuzz_{}", snake(&p.info.name)))
            .collect();
        names.sort();
        let functions = called().map(|protocol| {
            let marker = ident(&protocol.info.name);
            let name = format_ident!("fuzz_{}", snake(&protocol.info.name));
            let server = format_ident!("{}Server", protocol.info.name);
            let ordinals: Vec<_> = protocol.methods.iter().map(|method| ordinal(method.ordinal)).collect();
            let what = format!(
                " Dispatches the message that `data` stands for to a server of [`{0}`](crate::{0}).",
                protocol.info.name
            );
            quote! {
                #[doc = #what]
                #[doc = ""]
                #[doc = " Whatever the bytes, there is an answer: give this to a fuzzer."]
                pub fn #name<S: crate::#server>(server: &mut S, data: &[u8]) -> rt::Answer {
                    let incoming = rt::Incoming::from_bytes(data, &[#(#ordinals),*]);
                    let ticket = rt::Ticket { reply: rt::Address::root(1), generation: 0 };
                    <crate::#marker as rt::Dispatch<S>>::dispatch(server, &incoming, || Some(ticket))
                }
            }
        });
        (
            names,
            quote! { use gritos_idl_runtime as rt; #(#functions)* },
        )
    }
}
