//! `cargo xtask image`: the flat image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::card::{self, BootFile, firmware};
use crate::compile;
use crate::image::{Contents, assemble};
use crate::qemu::Board;
use crate::symbols::Symbols;
use crate::toolchain::disk;
use crate::workspace::Workspace;
use crate::{report, system};

#[derive(Args)]
pub(crate) struct Options {
    /// Board that the image is for
    #[arg(long, value_enum, default_value = "virt")]
    board: Board,
    #[command(flatten)]
    card: CardOptions,
    /// Where to write it [default: target/gritos/kernel8.img]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What a card holds.
#[derive(Args)]
pub(crate) struct CardOptions {
    #[command(flatten)]
    programs: ProgramOptions,
    /// Put the loader on the card in the system's place; `cargo xtask load` then brings the system over
    /// the serial line
    #[arg(long)]
    loader: bool,
    /// Folder with the Raspberry Pi's start4.elf, fixup4.dat and bcm2711-rpi-4-b.dtb, instead of
    /// Debian's packages
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,
}

/// Name of the image where the Pi's firmware looks for it.
const KERNEL_FILE: &str = "kernel8.img";
/// Name of the card's image.
const CARD_FILE: &str = "sdcard.img";

/// Name of the entry with what a person asks of the root task: the test task takes the part of a
/// name, or `bench`.
pub(crate) const COMMAND_LINE: &str = "cmdline";

/// What the image holds besides the kernel.
#[derive(Args)]
pub(crate) struct ProgramOptions {
    /// Package to start as the root task; `none` boots the kernel alone
    #[arg(long, value_name = "PACKAGE", default_value = compile::ROOT)]
    root: String,
    /// Description of what the root task starts [default: servers/system.toml]
    #[arg(long, value_name = "FILE")]
    system: Option<PathBuf>,
}

/// The machine that an image is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination {
    pub(crate) board: Board,
    /// Its memory, if that is known.
    pub(crate) memory_bytes: Option<u64>,
}

impl Destination {
    /// A board with as much memory as the description expects.
    pub(crate) fn board(board: Board) -> Self {
        Self {
            board,
            memory_bytes: None,
        }
    }
}

impl ProgramOptions {
    /// Starts `package` as the root task.
    pub(crate) fn starting(package: &str) -> Self {
        Self {
            root: package.to_string(),
            system: None,
        }
    }

    /// Starts the root task with what the description at `path` says.
    pub(crate) fn described_by(path: PathBuf) -> Self {
        Self {
            root: compile::ROOT.to_string(),
            system: Some(path),
        }
    }

    /// Compiles what the root task starts on `destination`; nothing if something else takes its
    /// place.
    fn compile(
        &self,
        workspace: &Workspace,
        destination: Destination,
    ) -> Result<Option<system::Compiled>> {
        if self.root != compile::ROOT {
            ensure!(
                self.system.is_none(),
                "--system describes what {} starts, and --root takes its place",
                compile::ROOT
            );
            return Ok(None);
        }
        let path = match &self.system {
            Some(path) => path.clone(),
            None => workspace.root.join(system::SYSTEM_FILE),
        };
        let board = destination.board.of_table();
        system::compile(workspace, &path, board, destination.memory_bytes).map(Some)
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    // Whatever is wrong with it is told before anything is compiled.
    let firmware = match options.board {
        Board::Virt => Vec::new(),
        Board::Rpi4 => options.card.firmware(workspace).or_else(|error| {
            // What was named is to be had.
            ensure!(options.card.firmware.is_none(), error);
            report::warning(format!(
                "the card gets no firmware ({error:#}). QEMU does without, a board does not boot from it: {}",
                firmware::BY_HAND
            ));
            Ok(Vec::new())
        })?,
    };
    let path = match &options.out {
        Some(path) => path.clone(),
        None => workspace.output(KERNEL_FILE)?,
    };
    let destination = Destination::board(options.board);
    let programs = &options.card.programs;
    write(workspace, programs, destination, Contents::default(), &path)?;
    println!("{}", path.display());
    if options.board == Board::Rpi4 {
        let card = path.with_file_name(CARD_FILE);
        write_card_with(workspace, &options.card, firmware, &path, &card)?;
        println!("{}", card.display());
    }
    Ok(())
}

impl CardOptions {
    /// The firmware that goes on the card.
    fn firmware(&self, workspace: &Workspace) -> Result<Vec<BootFile>> {
        let files = match &self.firmware {
            Some(folder) => firmware::from_folder(folder)?,
            None => firmware::from_debian(workspace)?,
        };
        report::step("Licence", firmware::NOTE);
        Ok(files)
    }
}

/// Builds everything and writes the image of a card that a board boots from; returns its path.
///
/// # Errors
/// Also when there is no firmware.
pub(crate) fn write_card(workspace: &Workspace, options: &CardOptions) -> Result<PathBuf> {
    let firmware = options.firmware(workspace).map_err(|error| {
        anyhow::anyhow!(
            "no board boots without the firmware, and it is not to be had ({error:#}): {}",
            firmware::BY_HAND
        )
    })?;
    let (kernel, card) = (workspace.output(KERNEL_FILE)?, workspace.output(CARD_FILE)?);
    let destination = Destination::board(Board::Rpi4);
    write(
        workspace,
        &options.programs,
        destination,
        Contents::default(),
        &kernel,
    )?;
    write_card_with(workspace, options, firmware, &kernel, &card)?;
    Ok(card)
}

/// Writes the image of a card that boots `kernel`.
fn write_card_with(
    workspace: &Workspace,
    options: &CardOptions,
    firmware: Vec<BootFile>,
    kernel: &Path,
    card: &Path,
) -> Result<()> {
    disk::ensure_tools(false)?;
    let kernel = if options.loader {
        loader(workspace)?
    } else {
        fs::read(kernel)?
    };
    let mut files = vec![
        BootFile::new("config.txt", gritos_board::rpi4::CONFIG_TXT),
        BootFile::new(KERNEL_FILE, kernel),
    ];
    files.extend(firmware);
    card::write(card, &files)?;
    report::step(
        "Wrote",
        format!("{} ({} files to boot from)", card.display(), files.len()),
    );
    Ok(())
}

/// Builds the first stage that receives a kernel over the serial line.
pub(crate) fn loader(workspace: &Workspace) -> Result<Vec<u8>> {
    crate::image::flat(&compile::build(workspace, compile::LOADER)?)
}

/// The programs of an image, with their symbols.
pub(crate) struct Programs {
    pub(crate) kernel: PathBuf,
    pub(crate) symbols: Symbols,
}

/// Builds kernel, root task and the programs that it starts on `destination`, and writes the image
/// of them and `contents` to `path`.
pub(crate) fn write(
    workspace: &Workspace,
    programs: &ProgramOptions,
    destination: Destination,
    mut contents: Contents,
    path: &Path,
) -> Result<Programs> {
    let system = programs.compile(workspace, destination)?;
    let kernel = compile::build(workspace, compile::KERNEL)?;
    let root = match programs.root.as_str() {
        "none" => None,
        package => Some(compile::build(workspace, package)?),
    };
    let mut symbols = Symbols::new(&kernel, root.as_deref());
    if let Some(system) = system {
        let table = system.table.clone();
        contents.add_system(system, &|package| compile::build(workspace, package))?;
        name_programs(&table, &contents, &mut symbols)?;
    }
    let image = assemble(&kernel, root.as_deref(), &contents)?;
    fs::write(path, &image).with_context(|| format!("cannot write {}", path.display()))?;
    report::step(
        "Wrote",
        format!("{} ({} KiB)", path.display(), image.len() / 1024),
    );
    Ok(Programs { kernel, symbols })
}

/// Says which program each component of the system table runs.
fn name_programs(table: &[u8], contents: &Contents, symbols: &mut Symbols) -> Result<()> {
    let system = gritos_system::System::parse(table)
        .map_err(|error| anyhow::anyhow!("the system table just made is refused: {error:?}"))?;
    for component in system.components() {
        let mut programs = contents.components.iter();
        if let Some(program) = programs.find(|program| program.name == component.binary) {
            symbols.add(component.name, &program.path);
        }
    }
    Ok(())
}
