//! The syntax tree: what was written, with the place of every part.

use crate::source::{FileId, Span};

/// A name as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// Its text.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// A name, possibly of another package: `File` or `base.Buffer`.
#[derive(Clone, Debug)]
pub struct Path {
    /// What stands before the dot.
    pub qualifier: Option<Ident>,
    /// The name itself.
    pub name: Ident,
}

impl Path {
    /// The whole of it.
    #[must_use]
    pub fn span(&self) -> Span {
        self.qualifier
            .as_ref()
            .map_or(self.name.span, |q| q.span.to(self.name.span))
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.qualifier {
            Some(q) => format!("{}.{}", q.text, self.name.text),
            None => self.name.text.clone(),
        }
    }
}

/// Doc comments and attributes before something.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Lines of the doc comment without slashes.
    pub docs: Vec<String>,
    /// Attributes.
    pub attributes: Vec<Attribute>,
}

/// `@name` or `@name(arguments)`.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name after `@`.
    pub name: Ident,
    /// Arguments between the parentheses.
    pub arguments: Vec<Expr>,
    /// From `@` to the end.
    pub span: Span,
}

/// One file.
#[derive(Clone, Debug)]
pub struct File {
    /// Which.
    pub id: FileId,
    /// Its package declaration, if it has one.
    pub package: Option<Package>,
    /// Its imports.
    pub imports: Vec<Import>,
    /// What it declares.
    pub declarations: Vec<Declaration>,
}

/// `package gritos.fs version 1;`
#[derive(Clone, Debug)]
pub struct Package {
    /// Documentation and attributes.
    pub head: Head,
    /// The parts of the name.
    pub name: Vec<Ident>,
    /// The version.
    pub version: Option<Expr>,
}

impl Package {
    /// The dotted name.
    #[must_use]
    pub fn dotted(&self) -> String {
        self.name
            .iter()
            .map(|part| part.text.as_str())
            .collect::<Vec<_>>()
            .join(".")
    }

    /// Place of the dotted name.
    #[must_use]
    pub fn span(&self) -> Span {
        self.name[0].span.to(self.name[self.name.len() - 1].span)
    }
}

/// `import "path" as name;`
#[derive(Clone, Debug)]
pub struct Import {
    /// The path, relative to the importing file.
    pub path: String,
    /// Its place.
    pub span: Span,
    /// The name it is used by.
    pub alias: Option<Ident>,
}

/// A top-level declaration.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// Documentation and attributes.
    pub head: Head,
    /// Its name.
    pub name: Ident,
    /// Whether parts of it could not be read.
    pub partial: bool,
    /// What it is.
    pub kind: DeclarationKind,
}

/// The kinds of declaration.
#[derive(Clone, Debug)]
pub enum DeclarationKind {
    /// `const NAME: type = value;`
    Const {
        /// Type.
        ty: Type,
        /// Value.
        value: Expr,
    },
    /// `enum Name: u8 { … }`
    Enum {
        /// Whether values it does not list are accepted.
        flexible: bool,
        /// Integer type that holds it.
        base: Option<Ident>,
        /// Values.
        members: Vec<Member>,
    },
    /// `error Name { … }`
    Error {
        /// Error numbers.
        members: Vec<Member>,
    },
    /// `flags Name: u32 { … }`
    Flags {
        /// Whether bits it does not list are accepted.
        flexible: bool,
        /// Integer type that holds it.
        base: Option<Ident>,
        /// Bits.
        members: Vec<Member>,
    },
    /// `struct Name { … }`
    Struct {
        /// Fields in order.
        fields: Vec<Field>,
    },
    /// `union Name { … }`
    Union {
        /// Variants.
        variants: Vec<Field>,
    },
    /// `protocol Name { … }`
    Protocol(Protocol),
    /// `server Name = A + B;`
    Server {
        /// Protocols it answers.
        protocols: Vec<Path>,
    },
    /// A declaration whose body could not be read; only its name is known.
    Broken,
}

/// `NAME = value`
#[derive(Clone, Debug)]
pub struct Member {
    /// Documentation and attributes.
    pub head: Head,
    /// Name.
    pub name: Ident,
    /// Value.
    pub value: Expr,
}

/// `name: type`, in a union followed by `= number`.
#[derive(Clone, Debug)]
pub struct Field {
    /// Documentation and attributes.
    pub head: Head,
    /// Name.
    pub name: Ident,
    /// Type.
    pub ty: Type,
    /// Number of a union's variant.
    pub value: Option<Expr>,
}

/// Which badges may call a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BadgeClass {
    /// Any capability to the server's endpoint.
    Any,
    /// A client's session (badge bit 31 set).
    Session,
    /// An object of the server (badge bit 31 clear, not zero).
    Object,
}

/// The body of a protocol.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// Who may call it.
    pub class: BadgeClass,
    /// Error type of methods that name none.
    pub fails: Option<Path>,
    /// Rights of the server.
    pub rights: Vec<Member>,
    /// Notification bits.
    pub events: Vec<Member>,
    /// Methods.
    pub methods: Vec<Method>,
}

/// A method.
#[derive(Clone, Debug)]
pub struct Method {
    /// Documentation and attributes.
    pub head: Head,
    /// Name.
    pub name: Ident,
    /// Whether nobody waits for an answer; the place of the keyword.
    pub oneway: Option<Span>,
    /// Request.
    pub parameters: Vec<Field>,
    /// Response; `None` if no `->` was written.
    pub results: Option<Vec<Field>>,
    /// Error type.
    pub fails: Option<Path>,
}

/// A type as written.
#[derive(Clone, Debug)]
pub struct Type {
    /// Its place.
    pub span: Span,
    /// What it is.
    pub kind: TypeKind,
}

/// The kinds of type.
#[derive(Clone, Debug)]
pub enum TypeKind {
    /// A built-in or declared type.
    Named(Path),
    /// `[T; n]`
    Array(Box<Type>, Expr),
    /// `string<n>`
    Text(Expr),
    /// `bytes<n>`
    Bytes(Expr),
    /// `T?`
    Optional(Box<Type>),
    /// `cap<Object, RIGHT | RIGHT>`
    Cap {
        /// Whether the sender loses it.
        moved: bool,
        /// Kernel object or protocol.
        object: Path,
        /// Rights.
        rights: Option<Expr>,
    },
    /// `buffer<in>`
    Buffer(Ident),
}

/// A value as written.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Its place.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// The kinds of value.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// An integer.
    Int(i128),
    /// `500ms`, in nanoseconds.
    Duration(u64),
    /// A text.
    Text(String),
    /// A constant, `true`, `false`, a right, …
    Name(Path),
    /// `-x`
    Negate(Box<Expr>),
    /// `a | b` and the like.
    Binary(Operator, Box<Expr>, Box<Expr>),
}

/// Operators between values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `|`
    Or,
    /// `<<`
    Shift,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
}
