//! Arguments and what they do. Exit codes: 0 done, 1 the input is wrong (or a
//! check says no), 2 the command could not be carried out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::{Parser, Subcommand, ValueEnum};
use idlc::codegen;
use idlc::codes;
use idlc::compat;
use idlc::decode;
use idlc::diag::{Diagnostics, render_all, to_json};
use idlc::driver::{Compiled, compile};
use idlc::emit::rust::Extras;
use idlc::emit::{self, Output};
use idlc::load::{Disk, Files as _};
use idlc::source::SourceMap;

/// The gRiTOS interface compiler.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: idlc build servers/fs/fs.gidl --out /tmp/fs-api"
)]
struct Arguments {
    /// How diagnostics are printed.
    #[arg(long, global = true, default_value = "text")]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    C,
}

#[derive(Subcommand)]
enum Command {
    /// Write stubs: a Rust crate or a C header per package.
    #[command(
        after_help = "Example: idlc build echo.gidl --out echo-api --path gritos-idl-runtime=../idlc/runtime"
    )]
    Build {
        /// Files or folders.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Folder to write to; with several packages each gets a folder in it.
        #[arg(long)]
        out: PathBuf,
        /// What to write.
        #[arg(long, default_value = "rust")]
        lang: Language,
        /// `CRATE=PATH`: where the generated manifest finds a crate; without
        /// any it takes them from the workspace.
        #[arg(long = "path", value_name = "CRATE=PATH")]
        paths: Vec<String>,
        /// Also write a mock of each server, made of functions.
        #[arg(long)]
        mock: bool,
        /// Also write functions that give a server messages made of bytes.
        #[arg(long)]
        fuzz: bool,
        /// Also write `decoder.json`, for tools that print messages.
        #[arg(long)]
        table: bool,
    },
    /// Report what is wrong and write nothing.
    #[command(after_help = "Example: idlc check servers/*.gidl")]
    Check {
        /// Files or folders.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write the stubs of a whole source tree, each beside its interface.
    #[command(after_help = "Example: idlc tree . --check")]
    Tree {
        /// Root of the workspace.
        root: PathBuf,
        /// Write nothing; fail if a file is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Lay files out in the one style.
    #[command(after_help = "Example: idlc fmt --check servers")]
    Fmt {
        /// Files or folders.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Change nothing; list what is not formatted and fail if there is any.
        #[arg(long)]
        check: bool,
    },
    /// Write a Markdown reference per package.
    #[command(after_help = "Example: idlc doc servers/fs/fs.gidl --out /tmp")]
    Doc {
        /// Files or folders.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Folder to write to; without it the text is printed.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Print the checked interface as JSON.
    #[command(after_help = "Example: idlc json servers/net/net.gidl")]
    Json {
        /// Files or folders.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print only what is needed to decode messages.
        #[arg(long)]
        decoder: bool,
    },
    /// Print a message by name and field.
    #[command(
        after_help = "Examples: idlc decode servers/fs/fs.gidl --tag 3 --words 0,0,4096\n          \
        idlc decode servers/fs/fs.gidl --reply File.read --tag 0 --words 4096"
    )]
    Decode {
        /// Files or folders.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Tag of the message: the method's ordinal, or the result of a reply.
        #[arg(long, value_parser = number)]
        tag: u64,
        /// It is the answer to this method, such as `read` or `File.read`.
        #[arg(long, value_name = "METHOD")]
        reply: Option<String>,
        /// Its words, as many as were sent.
        #[arg(long, value_delimiter = ',', value_parser = number, num_args = 0..=8)]
        words: Vec<u64>,
    },
    /// Say what changed between two versions; exit code 1 if something breaks.
    #[command(after_help = "Example: idlc compat v1/fs.gidl servers/fs/fs.gidl")]
    Compat {
        /// File or folder before.
        old: PathBuf,
        /// File or folder after.
        new: PathBuf,
    },
    /// Say more about a diagnostic.
    #[command(after_help = "Example: idlc explain G0060")]
    Explain {
        /// Its number; without it all are listed.
        code: Option<String>,
    },
}

pub(crate) fn run() -> Result<ExitCode> {
    let Arguments { format, command } = Arguments::parse();
    match command {
        Command::Build {
            files,
            out,
            lang,
            paths,
            mock,
            fuzz,
            table,
        } => {
            let Some(compiled) = compiled(&files, format)? else {
                return Ok(ExitCode::FAILURE);
            };
            build(&compiled, &out, lang, &paths, Extras { mock, fuzz, table })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { files } => Ok(if compiled(&files, format)?.is_some() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }),
        Command::Fmt { files, check } => format_files(&files, check, format),
        Command::Doc { files, out } => {
            let Some(compiled) = compiled(&files, format)? else {
                return Ok(ExitCode::FAILURE);
            };
            for package in compiled.interface.root_packages() {
                let output = emit::doc::emit(package);
                match &out {
                    Some(folder) => write(folder, &[output])?,
                    None => print(&output.text)?,
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Json { files, decoder } => {
            let Some(compiled) = compiled(&files, Format::Text)? else {
                return Ok(ExitCode::FAILURE);
            };
            let interface = &compiled.interface;
            if decoder {
                for package in interface.root_packages() {
                    print(&emit::json::decoder_table(interface, package))?;
                }
            } else {
                print(&emit::json::interface(interface))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Decode {
            files,
            tag,
            reply,
            words,
        } => {
            let Some(compiled) = compiled(&files, format)? else {
                return Ok(ExitCode::FAILURE);
            };
            let interface = &compiled.interface;
            let lines = match &reply {
                Some(method) => decode::reply(interface, method, tag, &words),
                None => decode::request(interface, tag, &words),
            };
            if lines.is_empty() {
                let what = reply.unwrap_or_else(|| format!("the ordinal {tag:#x}"));
                eprintln!("no method of these files has {what}; `idlc doc` lists them");
                return Ok(ExitCode::FAILURE);
            }
            print(&(lines.join("\n") + "\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Compat { old, new } => compare(old, new, format),
        Command::Tree { root, check } => tree(&root, check),
        Command::Explain { code } => explain(code.as_deref()),
    }
}

/// A number of a message: decimal, or hexadecimal behind `0x`.
fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "a number of 64 bits, such as 12 or 0x1f, is wanted".to_owned())
}

/// Compiles and prints what is wrong; `None` if there are errors.
fn compiled(files: &[PathBuf], format: Format) -> Result<Option<Compiled>> {
    let compiled = compile(&Disk, files).map_err(|message| anyhow!(message))?;
    report(&compiled.diagnostics, &compiled.program.sources, format)?;
    Ok((!compiled.diagnostics.has_errors()).then_some(compiled))
}

fn report(diagnostics: &Diagnostics, sources: &SourceMap, format: Format) -> Result<()> {
    match format {
        Format::Text => eprint!("{}", render_all(diagnostics, sources)),
        Format::Json => print(&format!("{:#}\n", to_json(diagnostics, sources)))?,
    }
    Ok(())
}

fn build(
    compiled: &Compiled,
    out: &Path,
    lang: Language,
    paths: &[String],
    extras: Extras,
) -> Result<()> {
    let mut known = emit::rust::Paths::new();
    for path in paths {
        let (name, path) = path.split_once('=').context("--path takes CRATE=PATH")?;
        known.insert(name.to_owned(), path.to_owned());
    }
    let packages: Vec<_> = compiled.interface.root_packages().collect();
    for package in &packages {
        let outputs = match lang {
            Language::Rust => emit::rust::emit(&compiled.interface, package, &known, extras),
            Language::C => vec![emit::c::emit(&compiled.interface, package)],
        };
        let folder = match (packages.len(), lang) {
            (1, _) | (_, Language::C) => out.to_path_buf(),
            _ => out.join(emit::rust::crate_name(&package.name)),
        };
        write(&folder, &outputs)?;
    }
    Ok(())
}

fn format_files(files: &[PathBuf], check: bool, output: Format) -> Result<ExitCode> {
    let mut wrong = false;
    for path in files {
        for path in Disk.folder(path).unwrap_or_else(|| vec![path.clone()]) {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let mut sources = SourceMap::default();
            let id = sources.add(path.clone(), text);
            match idlc::fmt::format(id, sources.file(id)) {
                Err(diagnostics) => {
                    wrong = true;
                    report(&diagnostics, &sources, output)?;
                }
                Ok(formatted) if formatted == sources.file(id).text => {}
                Ok(_) if check => {
                    wrong = true;
                    print(&format!("not formatted: {}\n", path.display()))?;
                }
                Ok(formatted) => {
                    std::fs::write(&path, formatted)
                        .with_context(|| format!("cannot write {}", path.display()))?;
                }
            }
        }
    }
    Ok(if wrong {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn compare(old: PathBuf, new: PathBuf, format: Format) -> Result<ExitCode> {
    let (Some(old), Some(new)) = (
        compiled(&[old], Format::Text)?,
        compiled(&[new], Format::Text)?,
    ) else {
        return Ok(ExitCode::from(2));
    };
    let changes = compat::compare(&old.interface, &new.interface);
    let (before, after) = (&old.program.sources, &new.program.sources);
    match format {
        Format::Text => print(&compat::render(&changes, before, after))?,
        Format::Json => print(&format!("{:#}\n", compat::to_json(&changes, before, after)))?,
    }
    let breaking = changes.iter().any(compat::Change::is_breaking);
    Ok(if breaking {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn write(folder: &Path, outputs: &[Output]) -> Result<()> {
    for output in outputs {
        let path = folder.join(&output.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(&path, &output.text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn tree(root: &Path, check: bool) -> Result<ExitCode> {
    let changed = if check {
        codegen::check_tree(root)
    } else {
        codegen::generate_tree(root)
    };
    let changed = changed.map_err(|message| anyhow!(message))?;
    for path in &changed {
        print(&format!(
            "{} {}\n",
            if check { "stale" } else { "wrote" },
            path.display()
        ))?;
    }
    Ok(if check && !changed.is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn explain(code: Option<&str>) -> Result<ExitCode> {
    let Some(code) = code else {
        for page in codes::PAGES {
            print(&format!("{}  {}\n", page.code, page.title))?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    match codes::page(code) {
        Some(page) => {
            print(&format!("{}: {}\n\n{}\n", page.code, page.title, page.text))?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            eprintln!("idlc: there is no diagnostic `{code}`; `idlc explain` lists them");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints to standard output; a reader that has gone away is no mistake.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
