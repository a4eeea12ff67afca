//! The checked interface with everything laid out: what all emitters walk and
//! what `idlc json` prints. Docs are lines; numbers are final.

use serde::Serialize;

pub use crate::ast::BadgeClass;
use crate::source::Span;

/// Words in a message.
pub const MESSAGE_WORDS: u32 = 8;
/// Capability slots in a message.
pub const MESSAGE_CAPS: u32 = 4;

/// What every named thing has.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// Name as declared.
    pub name: String,
    /// Lines of its documentation.
    pub docs: Vec<String>,
    /// Package version that introduced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u32>,
    /// Why not to use it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// Where its name was declared.
    #[serde(skip)]
    pub span: Span,
}

/// A package: one crate, one C header, one document.
#[derive(Clone, Debug, Serialize)]
pub struct Package {
    /// Dotted name.
    pub name: String,
    /// Version.
    pub version: u32,
    /// Documentation of the package.
    pub docs: Vec<String>,
    /// What C names start with.
    pub c_prefix: String,
    /// Names of the files it was read from, without folders.
    pub files: Vec<String>,
    /// Packages it uses.
    pub imports: Vec<String>,
    /// Constants.
    pub constants: Vec<Constant>,
    /// Types; one that contains another comes after it.
    pub types: Vec<TypeDef>,
    /// Protocols.
    pub protocols: Vec<Protocol>,
    /// Servers.
    pub servers: Vec<Server>,
    /// Where its name was declared.
    #[serde(skip)]
    pub span: Option<Span>,
}

/// A declared constant.
#[derive(Clone, Debug, Serialize)]
pub struct Constant {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Type.
    pub ty: ConstantType,
    /// Value.
    pub value: Value,
}

/// Type of a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConstantType {
    /// `bool`.
    Bool,
    /// An integer.
    Int(Int),
    /// A text.
    Text,
}

/// A computed value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// An integer in the range of some 64-bit type.
    Int(i128),
    /// A text.
    Text(String),
}

/// An integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Int {
    /// Whether it has a sign.
    pub signed: bool,
    /// 8, 16, 32 or 64.
    pub bits: u32,
}

impl Int {
    /// The type called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let signed = match name.chars().next()? {
            'u' => false,
            'i' => true,
            _ => return None,
        };
        let bits = match &name[1..] {
            "8" => 8,
            "16" => 16,
            "32" => 32,
            "64" => 64,
            _ => return None,
        };
        Some(Self { signed, bits })
    }

    /// Its name in the language and in Rust.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}{}", if self.signed { 'i' } else { 'u' }, self.bits)
    }

    /// Smallest and largest value.
    #[must_use]
    pub fn range(self) -> (i128, i128) {
        if self.signed {
            (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
        } else {
            (0, (1 << self.bits) - 1)
        }
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(self) -> u32 {
        self.bits / 8
    }
}

/// A declaration in some package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Reference {
    /// Package.
    pub package: String,
    /// Name in it.
    pub name: String,
}

/// A type with its size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Type {
    /// What it is.
    #[serde(flatten)]
    pub kind: TypeKind,
    /// Bytes.
    pub size: u32,
    /// Alignment in bytes: 1, 2, 4 or 8.
    pub align: u32,
}

/// The kinds of type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TypeKind {
    /// One byte, 0 or 1.
    Bool,
    /// An integer.
    Int(Int),
    /// An enum, held by an integer.
    Enum {
        /// Which.
        name: Reference,
        /// Integer that holds it.
        base: Int,
    },
    /// Flags, held by an integer.
    Flags {
        /// Which.
        name: Reference,
        /// Integer that holds it.
        base: Int,
    },
    /// A struct.
    Struct {
        /// Which.
        name: Reference,
    },
    /// A union.
    Union {
        /// Which.
        name: Reference,
    },
    /// A fixed number of elements.
    Array {
        /// Element.
        element: Box<Type>,
        /// How many.
        length: u32,
    },
    /// UTF-8 text: a length, then the bytes.
    Text {
        /// Most bytes.
        max: u32,
    },
    /// Bytes: a length, then the bytes.
    Bytes {
        /// Most bytes.
        max: u32,
    },
    /// A value, then a byte that says whether it is there.
    Optional {
        /// The value.
        value: Box<Type>,
    },
}

impl Type {
    /// Whether it travels as one integer.
    #[must_use]
    pub fn is_scalar(&self) -> bool {
        matches!(
            self.kind,
            TypeKind::Bool | TypeKind::Int(_) | TypeKind::Enum { .. } | TypeKind::Flags { .. }
        )
    }
}

/// A declared type.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TypeDef {
    /// Named numbers.
    Enum(Enum),
    /// Named bits.
    Flags(Flags),
    /// Fields side by side.
    Struct(Struct),
    /// One of several values.
    Union(Union),
}

impl TypeDef {
    /// Name and documentation.
    #[must_use]
    pub fn info(&self) -> &Info {
        match self {
            Self::Enum(e) => &e.info,
            Self::Flags(f) => &f.info,
            Self::Struct(s) => &s.info,
            Self::Union(u) => &u.info,
        }
    }
}

/// An enum or an error type.
#[derive(Clone, Debug, Serialize)]
pub struct Enum {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Whether it is an error type.
    pub error: bool,
    /// Integer that holds it.
    pub base: Int,
    /// Whether numbers it does not list are accepted.
    pub flexible: bool,
    /// Members.
    pub members: Vec<Member>,
}

/// A flags type.
#[derive(Clone, Debug, Serialize)]
pub struct Flags {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Integer that holds it.
    pub base: Int,
    /// Whether bits it does not list are accepted.
    pub flexible: bool,
    /// Members.
    pub members: Vec<Member>,
}

/// A name for a number.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Its number or bits.
    pub value: u64,
}

/// A struct, laid out as in C.
#[derive(Clone, Debug, Serialize)]
pub struct Struct {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Bytes, padding at the end included.
    pub size: u32,
    /// Alignment in bytes.
    pub align: u32,
    /// Fields by offset.
    pub fields: Vec<Field>,
}

/// A field.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Type.
    pub ty: Type,
    /// Bytes from the start.
    pub offset: u32,
}

/// A union: a number in one byte, then the variant it names.
#[derive(Clone, Debug, Serialize)]
pub struct Union {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Bytes, padding at the end included.
    pub size: u32,
    /// Alignment in bytes.
    pub align: u32,
    /// Where every variant starts.
    pub payload_offset: u32,
    /// Variants.
    pub variants: Vec<Variant>,
}

/// A variant of a union.
#[derive(Clone, Debug, Serialize)]
pub struct Variant {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Its number.
    pub number: u8,
    /// Type.
    pub ty: Type,
}

/// A protocol.
#[derive(Clone, Debug, Serialize)]
pub struct Protocol {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Which badges may call it.
    pub class: BadgeClass,
    /// Rights of the server; values are masks.
    pub rights: Vec<Member>,
    /// Notification bits; values are masks.
    pub events: Vec<Member>,
    /// Methods.
    pub methods: Vec<Method>,
}

/// A method.
#[derive(Clone, Debug, Serialize)]
pub struct Method {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Tag of its request.
    pub ordinal: u32,
    /// Name of the ordinal in C.
    pub c_name: String,
    /// Nobody waits for an answer.
    pub oneway: bool,
    /// Sent again when the server died on it.
    pub idempotent: bool,
    /// The server may answer later.
    pub deferrable: bool,
    /// How long a client waits, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ns: Option<u64>,
    /// Server rights that the capability used must have.
    pub requires: Rights,
    /// Request.
    pub request: Message,
    /// Response; empty for a one-way method.
    pub response: Message,
    /// Error type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Reference>,
}

/// A set of rights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rights {
    /// Bits; 0 as a mask means "as held".
    pub mask: u32,
    /// Names in the order written.
    pub names: Vec<String>,
}

/// A request or a response.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Message {
    /// Data words used.
    pub words: u32,
    /// Capability slots used, an optional one included.
    pub caps: u32,
    /// Parameters in the order declared.
    pub params: Vec<Param>,
}

/// A parameter or result.
#[derive(Clone, Debug, Serialize)]
pub struct Param {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Where it travels.
    pub carried: Carried,
}

/// How a parameter travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carried {
    /// In the data words.
    Data {
        /// Type.
        ty: Type,
        /// Byte offset in the eight words.
        offset: u32,
    },
    /// As a capability.
    Cap {
        /// To what.
        object: Object,
        /// Rights sent, and rights needed on arrival.
        rights: Rights,
        /// Whether the sender loses it.
        moved: bool,
        /// Whether it may be missing.
        optional: bool,
        /// Capability slot.
        slot: u32,
    },
    /// As a range of a memory object.
    Buffer {
        /// Who reads and writes.
        direction: Direction,
        /// Capability slot.
        slot: u32,
        /// Byte offset of the range's offset in the eight words; its length
        /// follows in the next word.
        offset: u32,
    },
}

/// What a capability refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// A kernel object of this type.
    Kernel(String),
    /// The endpoint of a server that speaks this protocol.
    Protocol(Reference),
}

/// Who does what with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The server reads it.
    In,
    /// The server writes it.
    Out,
    /// Both.
    Inout,
}

/// A server: several protocols behind one endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// Name and documentation.
    #[serde(flatten)]
    pub info: Info,
    /// Protocols it answers.
    pub protocols: Vec<Reference>,
}

/// Everything that was checked: packages in an order in which each comes after
/// those it imports.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Interface {
    /// Number of this format.
    pub format: u32,
    /// Packages.
    pub packages: Vec<Package>,
    /// Names of the packages whose files were named in the run.
    pub roots: Vec<String>,
}

impl Interface {
    /// A package by name.
    #[must_use]
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The protocol a reference names.
    #[must_use]
    pub fn protocol(&self, reference: &Reference) -> Option<&Protocol> {
        self.package(&reference.package)?
            .protocols
            .iter()
            .find(|p| p.info.name == reference.name)
    }

    /// The type a reference names.
    #[must_use]
    pub fn type_def(&self, reference: &Reference) -> Option<&TypeDef> {
        self.package(&reference.package)?
            .types
            .iter()
            .find(|t| t.info().name == reference.name)
    }

    /// The packages whose files were named in the run.
    pub fn root_packages(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.roots.contains(&package.name))
    }
}
