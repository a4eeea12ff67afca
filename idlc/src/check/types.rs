//! Types of values, their sizes, and structs and unions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Checker, Progress, Symbol};
use crate::ast::{self, DeclarationKind, Head, Ident};
use crate::codes;
use crate::diag::Diagnostic;
use crate::ir::{Field, Info, Int, Reference, Struct, Type, TypeDef, TypeKind, Union, Variant};
use crate::layout::{Extent, in_order};
use crate::names::{BUILT_IN, Style};
use crate::source::Span;
use crate::suggest::did_you_mean;

/// No type is larger.
const MAX_SIZE: u64 = 16 << 20;
/// Structs in structs in structs.
const MAX_NESTED_TYPES: usize = 100;
pub(super) const U32: Int = Int {
    signed: false,
    bits: 32,
};

impl Checker<'_> {
    pub(super) fn not_empty(&mut self, empty: bool, info: &Info, what: &str) {
        if empty && !self.partial {
            let message = format!("{what} `{}` has nothing in it", info.name);
            self.error(Diagnostic::error(codes::EMPTY, info.span, message).label("empty"));
        }
    }

    pub(super) fn structure(
        &mut self,
        symbol: Symbol,
        info: Info,
        fields: &[ast::Field],
    ) -> Option<Struct> {
        self.not_empty(fields.is_empty(), &info, "struct");
        self.check_unique(fields.iter().map(|f| &f.name), "field");
        let package = self.package_of_file[symbol.0]?;
        let mut typed = Vec::new();
        for field in fields {
            self.check_name(&field.name, Style::Snake, "field");
            let info = self.info(package, &field.head, &field.name, &["since", "deprecated"]);
            if let Some(ty) = self.data_type(symbol.0, &field.ty) {
                typed.push((info, ty));
            }
        }
        let extents: Vec<_> = typed.iter().map(|(_, ty)| extent(ty)).collect();
        self.layout_of(symbol)?;
        let (offsets, whole) = in_order(&extents);
        let fields = typed.into_iter().zip(offsets);
        let fields = fields
            .map(|((info, ty), offset)| Field { info, ty, offset })
            .collect();
        Some(Struct {
            info,
            size: whole.size,
            align: whole.align,
            fields,
        })
    }

    pub(super) fn union(
        &mut self,
        symbol: Symbol,
        info: Info,
        variants: &[ast::Field],
    ) -> Option<Union> {
        self.not_empty(variants.is_empty(), &info, "union");
        self.check_unique(variants.iter().map(|v| &v.name), "variant");
        let package = self.package_of_file[symbol.0]?;
        let mut made: Vec<Variant> = Vec::new();
        let mut first_use: BTreeMap<u8, Span> = BTreeMap::new();
        for variant in variants {
            self.check_name(&variant.name, Style::Snake, "variant");
            let info = self.info(
                package,
                &variant.head,
                &variant.name,
                &["since", "deprecated"],
            );
            let number = variant.value.as_ref().and_then(|value| {
                let number = self.integer(symbol.0, value)?;
                self.check_range(
                    number,
                    Int {
                        signed: false,
                        bits: 8,
                    },
                    value.span,
                )
            });
            let ty = self.data_type(symbol.0, &variant.ty);
            let (Some(number), Some(ty)) = (number, ty) else {
                continue;
            };
            let number = number as u8;
            if let Some(first) = first_use.get(&number) {
                let message = format!("variant `{}` has a number that is taken", variant.name.text);
                self.error(
                    Diagnostic::error(codes::SAME_VALUE, variant.name.span, message)
                        .label(format!("{number} again"))
                        .related(*first, "first used here"),
                );
            } else {
                first_use.insert(number, variant.name.span);
            }
            made.push(Variant { info, number, ty });
        }
        let (size, align) = self.layout_of(symbol)?;
        Some(Union {
            info,
            size,
            align,
            payload_offset: align,
            variants: made,
        })
    }

    /// The type of a value; capabilities and buffers are refused.
    pub(super) fn data_type(&mut self, file: usize, ty: &ast::Type) -> Option<Type> {
        let (kind, extent) = match &ty.kind {
            ast::TypeKind::Named(path) => return self.named_type(file, path),
            ast::TypeKind::Array(element, length) => {
                let element = self.data_type(file, element);
                let length = self.length(file, length, "the length of an array");
                let (element, length) = (element?, length?);
                let size = u64::from(element.size) * u64::from(length);
                if size > MAX_SIZE {
                    return self.too_large(ty.span, size);
                }
                let extent = Extent {
                    size: size as u32,
                    align: element.align,
                };
                (
                    TypeKind::Array {
                        element: Box::new(element),
                        length,
                    },
                    extent,
                )
            }
            ast::TypeKind::Text(max) => {
                let max = self.length(file, max, "the length of a text")?;
                (TypeKind::Text { max }, Extent::counted(max))
            }
            ast::TypeKind::Bytes(max) => {
                let max = self.length(file, max, "the length of a byte vector")?;
                (TypeKind::Bytes { max }, Extent::counted(max))
            }
            ast::TypeKind::Optional(value) => {
                let value = self.data_type(file, value)?;
                let extent = extent(&value).optional();
                (
                    TypeKind::Optional {
                        value: Box::new(value),
                    },
                    extent,
                )
            }
            ast::TypeKind::Cap { .. } => return self.not_a_value(ty.span, "a capability"),
            ast::TypeKind::Buffer(_) => return self.not_a_value(ty.span, "a buffer"),
        };
        Some(Type {
            kind,
            size: extent.size,
            align: extent.align,
        })
    }

    fn not_a_value(&mut self, span: Span, what: &str) -> Option<Type> {
        self.error(
            Diagnostic::error(
                codes::TYPE_PLACE,
                span,
                format!("{what} cannot be part of a value"),
            )
            .label("not possible here")
            .help(format!("make {what} a parameter of its own")),
        );
        None
    }

    fn too_large(&mut self, span: Span, size: u64) -> Option<Type> {
        let message = format!("the type has {size} bytes, {MAX_SIZE} are the most");
        self.error(Diagnostic::error(codes::OUT_OF_RANGE, span, message).label("too large"));
        None
    }

    fn named_type(&mut self, file: usize, path: &ast::Path) -> Option<Type> {
        let name = path.name.text.as_str();
        if path.qualifier.is_none() {
            if name == "bool" {
                return Some(Type {
                    kind: TypeKind::Bool,
                    size: 1,
                    align: 1,
                });
            }
            if let Some(int) = Int::from_name(name) {
                return Some(Type {
                    kind: TypeKind::Int(int),
                    size: int.size(),
                    align: int.size(),
                });
            }
        }
        let built_in =
            path.qualifier.is_none() && name.starts_with(|c: char| c.is_ascii_lowercase());
        if built_in && !self.knows(file, name) {
            let message = format!("there is no type `{name}`");
            self.error(
                Diagnostic::error(codes::UNKNOWN_NAME, path.span(), message)
                    .label("not a type")
                    .help(did_you_mean(name, BUILT_IN).unwrap_or_else(|| {
                        "built-in types are `bool`, `u8` to `u64`, `i8` to `i64`, `string<n>` and `bytes<n>`".to_owned()
                    })),
            );
            return None;
        }
        let symbol = self.resolve(file, path, "type")?;
        let package = self.package_of_file[symbol.0]?;
        let reference = Reference {
            package: self.packages[package].name.clone(),
            name: path.name.text.clone(),
        };
        let scalar = |kind, base: Int| {
            Some(Type {
                kind,
                size: base.size(),
                align: base.size(),
            })
        };
        match &self.declaration(symbol).kind {
            DeclarationKind::Enum { base, .. } => {
                let base = plain_base(base.as_ref())?;
                scalar(
                    TypeKind::Enum {
                        name: reference,
                        base,
                    },
                    base,
                )
            }
            DeclarationKind::Error { .. } => scalar(
                TypeKind::Enum {
                    name: reference,
                    base: U32,
                },
                U32,
            ),
            DeclarationKind::Flags { base, .. } => {
                let base = plain_base(base.as_ref())?;
                scalar(
                    TypeKind::Flags {
                        name: reference,
                        base,
                    },
                    base,
                )
            }
            DeclarationKind::Struct { .. } => {
                let (size, align) = self.layout_of(symbol)?;
                Some(Type {
                    kind: TypeKind::Struct { name: reference },
                    size,
                    align,
                })
            }
            DeclarationKind::Union { .. } => {
                let (size, align) = self.layout_of(symbol)?;
                Some(Type {
                    kind: TypeKind::Union { name: reference },
                    size,
                    align,
                })
            }
            DeclarationKind::Protocol(_) => {
                let found = self.declaration(symbol);
                let message = format!("protocol `{name}` is no type of values");
                self.error(
                    Diagnostic::error(codes::WRONG_KIND, path.span(), message)
                        .label("expected a type")
                        .related(found.name.span, "declared here")
                        .help(format!(
                            "a capability to a server of it is `cap<{}>`",
                            path.text()
                        )),
                );
                None
            }
            _ => {
                self.wrong_kind(path.span(), symbol, "a type");
                None
            }
        }
    }

    /// Size and alignment of a struct or union, computed once.
    fn layout_of(&mut self, symbol: Symbol) -> Option<(u32, u32)> {
        let name = &self.declaration(symbol).name;
        match self.layouts.get(&symbol) {
            Some(Progress::Done(layout)) => return *layout,
            Some(Progress::Running) => {
                let message = format!("`{}` contains itself", name.text);
                self.error(
                    Diagnostic::error(codes::RECURSIVE, name.span, message)
                        .label("would be infinitely large")
                        .help("keep lists of values in a buffer and refer to them by position"),
                );
                return None;
            }
            None => {}
        }
        let running = self
            .layouts
            .values()
            .filter(|p| matches!(p, Progress::Running))
            .count();
        if running > MAX_NESTED_TYPES {
            let message =
                format!("types contain each other more than {MAX_NESTED_TYPES} levels deep");
            self.error(
                Diagnostic::error(codes::TOO_DEEP, name.span, message)
                    .label("the limit is reached here"),
            );
            return None;
        }
        self.layouts.insert(symbol, Progress::Running);
        let layout = self.compute_layout(symbol);
        self.layouts.insert(symbol, Progress::Done(layout));
        layout
    }

    fn compute_layout(&mut self, symbol: Symbol) -> Option<(u32, u32)> {
        let declaration = self.declaration(symbol);
        let (fields, union) = match &declaration.kind {
            DeclarationKind::Struct { fields } => (fields, false),
            DeclarationKind::Union { variants } => (variants, true),
            _ => return None,
        };
        let types: Vec<_> = fields
            .iter()
            .map(|field| self.data_type(symbol.0, &field.ty))
            .collect();
        let extents: Vec<_> = types
            .iter()
            .map(|ty| ty.as_ref().map(extent))
            .collect::<Option<_>>()?;
        if extents.is_empty() {
            return None;
        }
        let sum: u64 = extents.iter().map(|e| u64::from(e.size) + 8).sum();
        if sum > MAX_SIZE {
            let _ = self.too_large(declaration.name.span, sum);
            return None;
        }
        let whole = if union {
            let align = extents.iter().map(|e| e.align).max()?;
            let size = extents.iter().map(|e| e.size).max()?;
            in_order(&[Extent::scalar(1), Extent { size, align }]).1
        } else {
            in_order(&extents).1
        };
        Some((whole.size, whole.align))
    }

    /// Documentation and attributes of a parameter: it may have the former only.
    pub(super) fn param_info(&mut self, package: usize, head: &Head, name: &Ident) -> Info {
        self.check_name(name, Style::Snake, "parameter");
        self.info(package, head, name, &[])
    }
}

fn plain_base(base: Option<&Ident>) -> Option<Int> {
    base.map_or(Some(U32), |base| {
        Int::from_name(&base.text).filter(|int| !int.signed)
    })
}

pub(super) fn extent(ty: &Type) -> Extent {
    Extent {
        size: ty.size,
        align: ty.align,
    }
}

/// Sorts types so that what is contained comes first, otherwise as declared.
pub(super) fn contained_first(types: Vec<TypeDef>, package: &str) -> Vec<TypeDef> {
    fn parts<'t>(ty: &'t Type, out: &mut Vec<&'t Reference>) {
        match &ty.kind {
            TypeKind::Enum { name, .. }
            | TypeKind::Flags { name, .. }
            | TypeKind::Struct { name }
            | TypeKind::Union { name } => out.push(name),
            TypeKind::Array { element: inner, .. } | TypeKind::Optional { value: inner } => {
                parts(inner, out)
            }
            TypeKind::Bool | TypeKind::Int(_) | TypeKind::Text { .. } | TypeKind::Bytes { .. } => {}
        }
    }
    fn visit(
        at: usize,
        needs: &[Vec<usize>],
        placed: &mut BTreeSet<usize>,
        order: &mut Vec<usize>,
    ) {
        if placed.insert(at) {
            needs[at]
                .iter()
                .for_each(|need| visit(*need, needs, placed, order));
            order.push(at);
        }
    }
    let index: HashMap<&str, usize> = types
        .iter()
        .zip(0..)
        .map(|(t, i)| (t.info().name.as_str(), i))
        .collect();
    let needs: Vec<Vec<usize>> = types
        .iter()
        .map(|def| {
            let mut names = Vec::new();
            match def {
                TypeDef::Struct(s) => s.fields.iter().for_each(|f| parts(&f.ty, &mut names)),
                TypeDef::Union(u) => u.variants.iter().for_each(|v| parts(&v.ty, &mut names)),
                TypeDef::Enum(_) | TypeDef::Flags(_) => {}
            }
            let own = names.into_iter().filter(|name| name.package == package);
            own.filter_map(|name| index.get(name.name.as_str()).copied())
                .collect()
        })
        .collect();
    let (mut placed, mut order) = (BTreeSet::new(), Vec::new());
    (0..types.len()).for_each(|at| visit(at, &needs, &mut placed, &mut order));
    let mut slots: Vec<_> = types.into_iter().map(Some).collect();
    order
        .into_iter()
        .filter_map(|at| slots[at].take())
        .collect()
}
