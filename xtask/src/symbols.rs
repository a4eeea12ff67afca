//! What addresses in reports of the target mean: function, file and line.
//!
//! The root task reports where a component failed as `NAME+OFFSET`, the kernel where it stopped itself as an
//! address of its own. [`Symbols::explain`] finds both in a line of the console.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use addr2line::gimli::{DwarfSections, EndianSlice, LittleEndian, SectionId};
use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, ObjectSymbolTable};

/// Where the kernel begins (`docs/reference/memory-map.md`).
const KERNEL_START: u64 = 0xffff_ffff_8000_0000;
/// Size of a page, to which the first segment of a program is rounded down.
const PAGE: u64 = 4096;
/// Name of the kernel.
pub(crate) const KERNEL: &str = "kernel";
/// Name of the root task.
const ROOT: &str = "root";

/// The programs of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    /// By the name under which the target reports them.
    programs: BTreeMap<String, PathBuf>,
}

impl Symbols {
    /// Kernel, and root task if there is one.
    pub(crate) fn new(kernel: &Path, root: Option<&Path>) -> Self {
        let mut symbols = Self::default();
        symbols.add(KERNEL, kernel);
        if let Some(root) = root {
            symbols.add(ROOT, root);
        }
        symbols
    }

    /// A component and the program that it runs.
    pub(crate) fn add(&mut self, name: &str, program: &Path) {
        self.programs
            .insert(name.to_string(), program.to_path_buf());
    }

    /// Names and paths of all programs.
    pub(crate) fn programs(&self) -> impl Iterator<Item = (&str, &Path)> {
        let programs = self.programs.iter();
        programs.map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// Where the code is that a line of the console tells of; `None` if it tells of none.
    pub(crate) fn explain(&self, line: &str) -> Option<String> {
        let places: Vec<String> = words(line)
            .filter_map(|word| self.place(word))
            .filter_map(|(path, place)| locate(path, place).ok()?)
            .collect();
        (!places.is_empty()).then(|| places.join("; "))
    }

    /// The program and the place in it that a word means.
    fn place(&self, word: &str) -> Option<(&Path, Place)> {
        if let Some((name, offset)) = word.split_once("+0x") {
            let offset = u64::from_str_radix(offset, 16).ok()?;
            return Some((self.programs.get(name)?, Place::Offset(offset)));
        }
        let address = u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()?;
        let kernel = self.programs.get(KERNEL)?;
        (address >= KERNEL_START).then_some((kernel, Place::Address(address)))
    }
}

/// A place in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Address(u64),
    /// From the beginning of its first segment.
    Offset(u64),
}

/// The words of a line, without the punctuation around them.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || ",;:()[]`".contains(c))
}

/// Function, file and line of a place; `None` if nothing is there.
fn locate(path: &Path, place: Place) -> Result<Option<String>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(bytes.as_slice())?;
    let address = match place {
        Place::Address(address) => address,
        Place::Offset(offset) => {
            let first = file.segments().map(|segment| segment.address()).min();
            let first = first.context("a program has segments")?;
            (first & !(PAGE - 1)).wrapping_add(offset)
        }
    };
    let Some(function) = function(&file, address) else {
        return Ok(None);
    };
    let line = line(&file, address).unwrap_or_default();
    Ok(Some(format!("{function}{line}")))
}

/// Where the function begins whose path ends with these names.
///
/// # Errors
/// If there is none or more than one, or the program cannot be read.
pub(crate) fn address_of(program: &Path, name: &str) -> Result<u64> {
    let bytes =
        std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let file = object::File::parse(bytes.as_slice())?;
    let tail = format!("::{name}");
    let mut found = file.symbols().filter(|symbol| {
        let mangled = symbol.name().unwrap_or_default();
        let path = format!("{:#}", rustc_demangle::demangle(mangled));
        symbol.kind() == object::SymbolKind::Text && path.ends_with(&tail)
    });
    let place = program.display();
    let first = found.next();
    let address = first.with_context(|| format!("{place} has no function `{name}`"))?;
    ensure!(
        found.next().is_none(),
        "{place} has several functions `{name}`"
    );
    Ok(address.address())
}

/// The function around `address`, with the offset in it.
fn function(file: &object::File<'_>, address: u64) -> Option<String> {
    let symbols = file.symbol_table()?.symbols();
    let found = symbols
        .filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.address() <= address)
        .max_by_key(|symbol| (symbol.address(), symbol.size()))?;
    let offset = address - found.address();
    let inside = found.size() == 0 || offset < found.size();
    let name = format!("{:#}", rustc_demangle::demangle(found.name().ok()?));
    inside.then(|| format!("{name}+{offset:#x}"))
}

/// ` (FILE:LINE)` of `address`, if the program has tables of lines.
fn line(file: &object::File<'_>, address: u64) -> Option<String> {
    let load = |id: SectionId| -> Result<&[u8], object::Error> {
        let section = file.section_by_name(id.name());
        section.map_or(Ok(&[][..]), |section| section.data())
    };
    let sections = DwarfSections::load(load).ok()?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let context = addr2line::Context::from_dwarf(dwarf).ok()?;
    let location = context.find_location(address).ok()??;
    Some(format!(" ({}:{})", location.file?, location.line?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use object::{Object, ObjectSymbol};

    use super::{Place, Symbols, locate, words};

    #[test]
    fn offsets_in_programs_and_addresses_of_the_kernel_are_found() {
        let mut symbols = Symbols::new(Path::new("k"), Some(Path::new("r")));
        symbols.add("net-two", Path::new("n"));
        let place = |word| symbols.place(word);
        assert_eq!(
            place("net-two+0x1f"),
            Some((Path::new("n"), Place::Offset(0x1f)))
        );
        assert_eq!(
            place("0xffffffff80001234"),
            Some((Path::new("k"), Place::Address(0xffff_ffff_8000_1234)))
        );
        for word in [
            "0x1234",
            "other+0x1",
            "net-two+0xzz",
            "0x",
            "ffffffff80001234",
        ] {
            assert_eq!(place(word), None, "{word}");
        }
    }

    #[test]
    fn words_are_without_punctuation() {
        let line = "root: log+0x12: misaligned access (pc 0x201234, sp 0x1)";
        assert!(words(line).any(|word| word == "log+0x12"));
        assert!(words(line).any(|word| word == "0x201234"));
    }

    #[test]
    fn function_and_line_of_this_very_program_are_found() {
        let path = std::env::current_exe().expect("a path");
        let bytes = std::fs::read(&path).expect("this program");
        let file = object::File::parse(bytes.as_slice()).expect("a program");
        let name = |symbol: &object::Symbol<'_, '_>| {
            let name = symbol.name().unwrap_or_default();
            format!("{:#}", rustc_demangle::demangle(name))
        };
        let symbol = file.symbols().find(|s| name(s) == "xtask::symbols::locate");
        let address = symbol.expect("a function of this module").address();
        let found = locate(&path, Place::Address(address)).expect("a readable program");
        let found = found.expect("a function there");
        assert!(found.starts_with("xtask::symbols::locate+0x0 ("), "{found}");
        assert!(found.contains("symbols.rs:"), "{found}");
    }

    #[test]
    fn a_line_without_addresses_needs_no_explanation() {
        let symbols = Symbols::new(Path::new("k"), None);
        assert_eq!(symbols.explain("all is well: 12 passed"), None);
        assert_eq!(symbols.explain("kernel+0x12"), None, "there is no file `k`");
    }
}
