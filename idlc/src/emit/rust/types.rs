//! Constants, enums, errors, flags, structs and unions.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::{Emitter, docs, ident, literal};
use crate::ir::{
    Constant, ConstantType, Enum, Flags, Member, Struct, Type, TypeDef, TypeKind, Union, Value,
};
use crate::names::camel;

impl Emitter<'_> {
    /// The module of types and the names it exports.
    pub(super) fn types(&self) -> (Vec<String>, TokenStream) {
        let constants = self.package.constants.iter().map(constant);
        let mut exports: Vec<_> = self
            .package
            .constants
            .iter()
            .map(|c| c.info.name.clone())
            .collect();
        exports.extend(self.package.types.iter().map(|t| t.info().name.clone()));
        exports.sort();
        // In their own module types are named without a path.
        let here = Emitter {
            module: self
                .package
                .types
                .iter()
                .map(|t| t.info().name.clone())
                .collect(),
            interface: self.interface,
            package: self.package,
        };
        let types = self.package.types.iter().map(|def| match def {
            TypeDef::Enum(e) => enumeration(e),
            TypeDef::Flags(f) => flags(f),
            TypeDef::Struct(s) => here.structure(s),
            TypeDef::Union(u) => here.union(u),
        });
        let runtime =
            (!self.package.types.is_empty()).then(|| quote! { use gritos_idl_runtime as rt; });
        (exports, quote! { #runtime #(#constants)* #(#types)* })
    }

    fn structure(&self, s: &Struct) -> TokenStream {
        let docs_ = docs(&s.info, &format!("Structure `{}`.", s.info.name), &[]);
        let (name, size, align) = (ident(&s.info.name), literal(s.size), literal(s.align));
        let fields = s.fields.iter().map(|field| {
            let docs = docs(&field.info, &format!("Field `{}`.", field.info.name), &[]);
            let (name, ty) = (ident(&field.info.name), self.ty(&field.ty));
            quote! { #docs pub #name: #ty }
        });
        let names: Vec<_> = s
            .fields
            .iter()
            .map(|field| ident(&field.info.name))
            .collect();
        let offsets: Vec<_> = s.fields.iter().map(|field| literal(field.offset)).collect();
        quote! {
            #docs_
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct #name { #(#fields),* }

            impl rt::Wire for #name {
                const SIZE: usize = #size;
                const ALIGN: usize = #align;

                fn encode(&self, out: &mut [u8]) {
                    #(rt::put(out, #offsets, &self.#names);)*
                }

                fn decode(bytes: &[u8]) -> Result<Self, rt::WireError> {
                    Ok(Self { #(#names: rt::get(bytes, #offsets)?),* })
                }
            }
        }
    }

    fn union(&self, u: &Union) -> TokenStream {
        let docs_ = docs(&u.info, &format!("Union `{}`.", u.info.name), &[]);
        let (name, size, align) = (ident(&u.info.name), literal(u.size), literal(u.align));
        let names: Vec<_> = u
            .variants
            .iter()
            .map(|v| format_ident!("{}", camel(&v.info.name)))
            .collect();
        let variants = u.variants.iter().zip(&names).map(|(variant, name)| {
            let docs = docs(
                &variant.info,
                &format!("Variant `{}`.", variant.info.name),
                &[],
            );
            let ty = self.ty(&variant.ty);
            quote! { #docs #name(#ty) }
        });
        let numbers: Vec<_> = u
            .variants
            .iter()
            .map(|v| proc_macro2::Literal::u8_unsuffixed(v.number))
            .collect();
        let at = literal(u.payload_offset);
        quote! {
            #docs_
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum #name { #(#variants),* }

            impl rt::Wire for #name {
                const SIZE: usize = #size;
                const ALIGN: usize = #align;

                fn encode(&self, out: &mut [u8]) {
                    if let Some(place) = out.get_mut(..Self::SIZE) {
                        place.fill(0);
                    }
                    match self {
                        #(Self::#names(value) => {
                            rt::put::<u8>(out, 0, &#numbers);
                            rt::put(out, #at, value);
                        })*
                    }
                }

                fn decode(bytes: &[u8]) -> Result<Self, rt::WireError> {
                    match rt::get::<u8>(bytes, 0)? {
                        #(#numbers => rt::get(bytes, #at).map(Self::#names),)*
                        _ => Err(rt::WireError::BadEnum),
                    }
                }
            }
        }
    }

    /// The integer that stands for a scalar.
    pub(super) fn integer_of(&self, ty: &Type, value: &TokenStream) -> TokenStream {
        match &ty.kind {
            TypeKind::Int(int) if int.signed => quote! { #value.cast_unsigned() },
            TypeKind::Enum { .. } => quote! { #value.number() },
            TypeKind::Flags { .. } => quote! { #value.bits() },
            _ => value.clone(),
        }
    }

    /// The scalar that an integer of its size stands for, and whether that can
    /// fail, in which case it is a `Result`.
    pub(super) fn scalar_of(&self, ty: &Type, raw: &TokenStream) -> (TokenStream, bool) {
        match &ty.kind {
            TypeKind::Bool => (quote! { rt::bool_from(#raw) }, true),
            TypeKind::Int(int) if int.signed => (quote! { (#raw).cast_signed() }, false),
            TypeKind::Enum { name, .. } => {
                let name = self.path(name);
                (quote! { #name::from_number(#raw) }, true)
            }
            TypeKind::Flags { name, .. } => {
                let name = self.path(name);
                (quote! { #name::from_wire(#raw) }, true)
            }
            _ => (raw.clone(), false),
        }
    }
}

fn constant(c: &Constant) -> TokenStream {
    let docs = docs(&c.info, &format!("Constant `{}`.", c.info.name), &[]);
    let name = ident(&c.info.name);
    let (ty, value) = match (&c.ty, &c.value) {
        (ConstantType::Int(int), Value::Int(value)) => {
            let ty = ident(&int.name());
            let magnitude = literal(u64::try_from(value.unsigned_abs()).unwrap_or(u64::MAX));
            (
                quote! { #ty },
                if *value < 0 {
                    quote! { -#magnitude }
                } else {
                    quote! { #magnitude }
                },
            )
        }
        (_, Value::Bool(value)) => (quote! { bool }, quote! { #value }),
        (_, Value::Text(text)) => (quote! { &str }, quote! { #text }),
        (_, Value::Int(_)) => return TokenStream::new(),
    };
    quote! { #docs pub const #name: #ty = #value; }
}

fn enumeration(e: &Enum) -> TokenStream {
    let what = if e.error { "Error" } else { "Enum" };
    let docs_ = docs(&e.info, &format!("{what} `{}`.", e.info.name), &[]);
    let (name, base) = (ident(&e.info.name), ident(&e.base.name()));
    let names: Vec<_> = e
        .members
        .iter()
        .map(|m| format_ident!("{}", camel(&m.info.name)))
        .collect();
    let numbers: Vec<_> = e.members.iter().map(|m| literal(m.value)).collect();
    let documented: Vec<_> = e
        .members
        .iter()
        .map(|member| {
            docs(
                &member.info,
                &format!("Member `{}`.", member.info.name),
                &[],
            )
        })
        .collect();
    let size = literal(e.base.size());
    let (declaration, number, otherwise) = if e.flexible {
        (
            quote! {
                #[non_exhaustive]
                pub enum #name {
                    #(#documented #names,)*
                    #[doc = " A number that this build does not know."]
                    Unlisted(#base),
                }
            },
            quote! { match self { #(Self::#names => #numbers,)* Self::Unlisted(number) => number } },
            quote! { Ok(Self::Unlisted(number)) },
        )
    } else {
        (
            quote! { #[repr(#base)] pub enum #name { #(#documented #names = #numbers),* } },
            quote! { self as #base },
            quote! { Err(rt::WireError::BadEnum) },
        )
    };
    let errors = (!e.flexible).then(|| {
        quote! {
            #[doc = ""]
            #[doc = " # Errors"]
            #[doc = " [`rt::WireError::BadEnum`] if there is none."]
        }
    });
    let flexible = e.flexible.then(|| {
        quote! {
            #[doc = ""]
            #[doc = " # Errors"]
            #[doc = " None: a number that is not listed stays a number."]
        }
    });
    let error = e.error.then(|| error(e, &name, &names));
    quote! {
        #docs_
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #declaration

        impl #name {
            #[doc = " The number that stands for it."]
            #[inline]
            #[must_use]
            pub const fn number(self) -> #base { #number }

            #[doc = " The member with a number."]
            #errors #flexible
            #[inline]
            pub const fn from_number(number: #base) -> Result<Self, rt::WireError> {
                match number { #(#numbers => Ok(Self::#names),)* _ => #otherwise }
            }
        }

        impl rt::Wire for #name {
            const SIZE: usize = #size;
            const ALIGN: usize = #size;

            fn encode(&self, out: &mut [u8]) { self.number().encode(out); }

            fn decode(bytes: &[u8]) -> Result<Self, rt::WireError> {
                Self::from_number(rt::get(bytes, 0)?)
            }
        }

        #error
    }
}

fn error(e: &Enum, name: &proc_macro2::Ident, names: &[proc_macro2::Ident]) -> TokenStream {
    let texts = e.members.iter().map(|member| {
        let doc = member.info.docs.first().map_or("", |line| line.trim());
        let sentence = doc
            .split(". ")
            .next()
            .unwrap_or("")
            .trim_end_matches(['.', ':']);
        if sentence.is_empty() {
            member.info.name.to_lowercase().replace('_', " ")
        } else {
            sentence.to_owned()
        }
    });
    quote! {
        impl rt::ErrorNumber for #name {
            fn from_number(number: u32) -> Option<Self> { Self::from_number(number).ok() }

            fn number(self) -> u32 { self.number() }
        }

        impl core::fmt::Display for #name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    #(Self::#names => f.write_str(#texts),)*
                    Self::Unlisted(number) => write!(f, "error {number}"),
                }
            }
        }

        impl core::error::Error for #name {}
    }
}

fn flags(f: &Flags) -> TokenStream {
    let (name, base, size) = (
        ident(&f.info.name),
        ident(&f.base.name()),
        literal(f.base.size()),
    );
    let docs_ = docs(&f.info, &format!("Flags `{}`.", f.info.name), &[]);
    let declared = flags_declaration(&docs_, &f.info.name, &f.base.name(), &f.members);
    let (check, errors) = if f.flexible {
        (
            quote! { Ok(Self::from_bits_retain(bits)) },
            "None: bits that are not listed are kept.",
        )
    } else {
        (
            quote! { match Self::from_bits(bits) { Some(flags) => Ok(flags), None => Err(rt::WireError::BadFlags) } },
            "[`rt::WireError::BadFlags`] if there are bits that are not listed.",
        )
    };
    let errors = format!(" {errors}");
    quote! {
        #declared

        impl #name {
            #[doc = " Takes bits that came from elsewhere."]
            #[doc = ""]
            #[doc = " # Errors"]
            #[doc = #errors]
            #[inline]
            pub const fn from_wire(bits: #base) -> Result<Self, rt::WireError> { #check }
        }

        impl rt::Wire for #name {
            const SIZE: usize = #size;
            const ALIGN: usize = #size;

            fn encode(&self, out: &mut [u8]) { self.bits().encode(out); }

            fn decode(bytes: &[u8]) -> Result<Self, rt::WireError> { Self::from_wire(rt::get(bytes, 0)?) }
        }
    }
}

/// A type made with `bitflags`.
pub(super) fn flags_declaration(
    docs_: &TokenStream,
    name: &str,
    base: &str,
    members: &[Member],
) -> TokenStream {
    let (name, base) = (ident(name), ident(base));
    let members = members.iter().map(|member| {
        let docs = docs(&member.info, &format!("Flag `{}`.", member.info.name), &[]);
        let name = ident(&member.info.name);
        // Single bits read best as shifts.
        let value = match member.value {
            value if value.is_power_of_two() && value > 1 => {
                let shift = literal(value.trailing_zeros());
                quote! { 1 << #shift }
            }
            value => {
                let value = literal(value);
                quote! { #value }
            }
        };
        quote! { #docs const #name = #value; }
    });
    quote! {
        rt::bitflags::bitflags! {
            #docs_
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
            pub struct #name: #base { #(#members)* }
        }
    }
}
