//! The catalogue of diagnostics: number, title and explanation of each.
//!
//! Numbers are never reused. Each has a file `tests/bad/GNNNN_*.gidl` that
//! provokes it and its exact output beside it.

use std::fmt;

/// Number of a diagnostic, printed as `G0001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "G{:04}", self.0)
    }
}

/// What `idlc explain` prints.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The number.
    pub code: Code,
    /// One line.
    pub title: &'static str,
    /// Why it is refused and what to write instead.
    pub text: &'static str,
}

/// The page of a code given as `G0007`, `g7` or `7`.
#[must_use]
pub fn page(code: &str) -> Option<&'static Page> {
    let number: u16 = code.trim_start_matches(['G', 'g']).parse().ok()?;
    PAGES.iter().find(|page| page.code.0 == number)
}

macro_rules! catalogue {
    ($($name:ident = $number:literal $title:literal $text:literal)*) => {
        $(#[doc = $title] pub const $name: Code = Code($number);)*
        /// Every page, by number.
        pub const PAGES: &[Page] = &[$(Page { code: $name, title: $title, text: $text }),*];
    };
}

catalogue! {
    STRANGE_CHARACTER = 1 "a character that is not part of the language"
    "Outside of comments and texts the language uses letters, digits, `_` and the marks
{ } ( ) [ ] < > << -> ; : , . = | + - * ? @. Names are ASCII."

    OPEN_TEXT = 2 "a text that is not closed, or an unknown escape in it"
    "A text starts and ends with `\"` on the same line. In it `\\\"` stands for a quote and
`\\\\` for a backslash; there are no other escapes."

    NUMBER = 3 "a malformed number"
    "Numbers are decimal, `0x` hexadecimal, `0o` octal or `0b` binary, with `_` wherever it helps, and
fit in 64 bits. Durations are decimal and end in `ns`, `us`, `ms` or `s`."

    UNEXPECTED = 4 "something else was expected here"
    "The grammar (docs/reference/gidl.md) accepts something else at this place; the message says what.
Where a mark such as `;` is missing, the place shown is right behind what it should follow."

    UNCLOSED = 5 "a bracket that is never closed"
    "The place shown is the bracket that was opened. What follows it starts the next declaration or
ends the file."

    PACKAGE = 6 "a missing, second or misnamed package"
    "Each file starts with `package name.of.it;`, once. The parts of the name are lower case. Two
packages of one run must not have names that differ in dots and underscores only, since their crates
would have the same name."

    LOOSE_DOC = 7 "a doc comment that documents nothing"
    "`///` belongs to the item that follows it. Where nothing follows, write `//`."

    TOO_DEEP = 8 "nested too deeply"
    "Types and values nest at most 32 levels, and one value has at most 32 operators in a row. Name
parts of it with `const` or `struct`."

    IMPORT = 10 "an import that cannot be read"
    "The path is relative to the folder of the importing file and names a `.gidl` file, or a folder
whose `.gidl` files are all imported. Files are UTF-8."

    IMPORT_CYCLE = 11 "imports that form a circle"
    "Packages are built one after the other, so none may need itself. Move what both need to a third
package."

    IMPORT_NAME = 12 "an import whose name is taken or unclear"
    "An import is used by the last part of its package's name, or by the name after `as`. Each name
stands for one package in a file, and a folder is imported only if its files share one package."

    DUPLICATE = 20 "a name that is declared twice"
    "Within a package each declaration has its own name; so has each member within its declaration.
Names that differ only in case or underscores count as the same where they become the same name in
generated code."

    UNKNOWN_NAME = 21 "a name that is not declared"
    "Names of other packages are written with their import: `base.Buffer`."

    WRONG_KIND = 22 "a name of the wrong kind"
    "Values are typed by enums, flags, structs and unions; `cap<…>` and `server` take protocols;
`fails` takes an `error`; values are constants."

    NAMING = 23 "a name in the wrong style"
    "Types and protocols are written `LikeThis`; fields, parameters and methods `like_this`; constants,
members, rights and events `LIKE_THIS`. Generated code relies on it: no name needs a prefix to avoid
another."

    RESERVED = 24 "a name that cannot be used in generated code"
    "`self`, `super`, `crate` and `Self` cannot be names in Rust, not even in raw form, and names of
built-in types cannot be declared. Names that generated code takes from Rust's prelude (`Option`,
`Result`, …) cannot be types, and methods cannot be `new` or `target`, which every client has."

    GENERATED_CLASH = 25 "a name that generated code needs"
    "From protocol `Echo` the compiler makes `EchoClient`, `EchoServer`, `EchoEvents`, a module `echo`
and, for methods with several results, `EchoMethodReply`. Nothing else may have these names."

    UNKNOWN_ATTRIBUTE = 30 "an attribute that does not exist"
    "Attributes are `@since`, `@deprecated`, `@c_prefix`, `@c_name`, `@ordinal`, `@requires`,
`@idempotent`, `@deferrable` and `@deadline`."

    ATTRIBUTE_PLACE = 31 "an attribute where it means nothing"
    "`@c_prefix` belongs to a package; `@ordinal`, `@requires`, `@idempotent`, `@deferrable`,
`@deadline` and `@c_name` to a method; `@since` and `@deprecated` to any declaration or member.
Imports and parameters have none."

    ATTRIBUTE_ARGUMENT = 32 "an attribute with the wrong arguments"
    "`@since(2)`, `@deprecated(\"use X\")`, `@c_prefix(\"FS\")`, `@c_name(\"FS_METHOD_OPEN\")`,
`@ordinal(3)`, `@requires(RIGHT | RIGHT)`, `@deadline(500ms)`; `@idempotent` and `@deferrable` have
none. `@since` names a version from 1 to that of the package. An attribute is given once."

    OUT_OF_RANGE = 40 "a value that does not fit its type"
    "The message names the range that is accepted."

    BAD_VALUE = 41 "a value that cannot be computed or has the wrong type"
    "Values are integers, `true`, `false`, texts, constants, and `| << + - *` between integers.
Intermediate results have 64 bits and a sign more; shifts go up to 63."

    CONSTANT_CYCLE = 42 "constants that need each other"
    "A constant may use others only if none of them needs it in turn."

    SAME_VALUE = 43 "two members with the same number"
    "Numbers of an enum, an error, a union, rights and events are unique: a number says which member
it is."

    EMPTY = 44 "an enum, error, flags, union or protocol with nothing in it"
    "A value of it could not be made. A struct may not be empty either: its size would be zero."

    ZERO = 45 "a number that must not be zero"
    "An error's number is the tag of a reply, where 0 means success; a flag of value 0 would always be
set; lengths of arrays, texts and byte vectors are at least 1."

    RECURSIVE = 50 "a type that contains itself"
    "Values are stored in place, so such a type would be infinitely large. Lists travel in buffers."

    TYPE_PLACE = 51 "a type that is not possible here"
    "Capabilities and buffers are parameters themselves and no parts of values. Results have no
buffers: a server writes to a buffer that the request carries. Of the capabilities of a message only
the last may be optional; a buffer may not. Values in an optional are not optional again. Constants
are integers, `bool` or texts; enums and flags are `u8`, `u16`, `u32` or `u64`; error numbers are
below 0x8000_0000."

    UNKNOWN_OBJECT = 52 "a kernel object, right or direction that does not exist"
    "The message lists what exists."

    TOO_MANY_WORDS = 60 "a message that does not fit in eight words"
    "Messages travel in eight registers, 64 bytes. Values are packed by alignment, so a reordering
does not help. Make the largest of them a `buffer<in>` or `buffer<out>`: data of any size then lies in
a memory object that client and server share, and the message carries offset and length (16 bytes) and
one capability."

    TOO_MANY_CAPS = 61 "a message with more than four capabilities"
    "A message carries four capabilities; a buffer takes one of them. Split the method, or put several
ranges in one buffer."

    ONEWAY = 62 "a one-way method with something to answer"
    "Nobody waits for a one-way message: it has no results and no errors and cannot be deferred,
idempotent or given a deadline."

    MOVED_RETRY = 63 "an idempotent method that moves a capability"
    "An idempotent method is sent again when the server died on it; a capability that has moved away
cannot be sent twice. Copy it, or drop `@idempotent`."

    ORDINAL = 70 "a method number out of range or used twice"
    "`@ordinal` takes 1 to 0x7fff_ffff. Without it the number is a hash of package, protocol and
method name with the top bit set. Numbers are unique within a protocol and among the protocols of one
`server`, because a server tells its methods apart by number alone."

    BIT = 71 "a right or event outside of its range"
    "Rights of a server are bits 16 to 31 of a capability's rights, the lower half is the kernel's;
events are bits 0 to 63 of a notification."

    KERNEL_RIGHT = 72 "a right named like one of the kernel's"
    "Kernel rights and the rights of a server are used side by side in `cap<Protocol, RIGHTS>`, so
their names must differ."

    RIGHT_PLACE = 73 "a right that this object cannot have"
    "A capability to a protocol's endpoint has SEND, RECV, GRANT, MANAGE and the rights that the
protocol declares; `@requires` takes only the latter; a kernel object has kernel rights."

    C_NAME = 74 "two methods with the same name in C"
    "In C a method is called PREFIX_METHOD_NAME, whatever its protocol. Give one of them another name
with `@c_name(\"…\")`."

    SERVER_TWICE = 75 "a server that lists a protocol twice"
    "Each protocol of a server is answered once; name each once."
}
