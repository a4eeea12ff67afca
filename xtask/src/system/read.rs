//! From the text of a description to its [`Model`].

use gritos_system::Board;
use idlc::suggest::did_you_mean;
use toml::de::DeTable;

use super::findings::{At, Finding, Findings};
use super::model::Model;
use super::tree::{Keys, list};

mod board;
mod component;
mod restart;

/// Reads a description. What cannot be read is noted and left out.
pub(crate) fn read(text: &str, findings: &mut Findings) -> Model {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let place = error.span().unwrap_or(0..0);
        findings.push(Finding::error("syntax", &place, error.message()));
    }
    if !errors.is_empty() {
        return Model::default();
    }
    let mut top = Keys::new("a system", 0..0, document.get_ref());
    let priorities =
        component::read_priorities(top.table("priority", "`priority`", findings), findings);
    let mut model = Model::default();
    match top.table("root", "the root task", findings) {
        Some(root) => read_root(root, &mut model, findings),
        None => top.missing("root", "{ memory = \"8 MiB\" }", findings),
    }
    if let Some(components) = top.table("component", "`component`", findings) {
        for (name, value) in components.entries() {
            let keys = Keys::of("a component", &name.place, value, findings);
            let line =
                keys.and_then(|keys| component::read_component(name, keys, &priorities, findings));
            model.components.extend(line);
        }
    }
    if let Some(boards) = top.table("board", "`board`", findings) {
        for (name, value) in boards.entries() {
            let keys = Keys::of("a board", &name.place, value, findings);
            let line = keys.and_then(|keys| board::read_board(&name, keys, findings));
            model.boards.extend(line);
        }
    }
    top.finish(findings);
    model
}

fn read_root(mut keys: Keys<'_>, model: &mut Model, findings: &mut Findings) {
    match keys.size("memory", findings) {
        Some(memory) => model.root_bytes = memory.it,
        None if keys.any("memory").is_none() => keys.missing("memory", "\"8 MiB\"", findings),
        None => {}
    }
    model.root_offers = component::read_offers(&mut keys, findings);
    keys.finish(findings);
}

/// The board called `name`; noted if there is none.
fn find_board(name: &At<String>, findings: &mut Findings) -> Option<At<Board>> {
    let known = Board::ALL.map(Board::name);
    let board = Board::ALL.into_iter().find(|board| board.name() == name.it);
    if board.is_none() {
        findings.push(
            Finding::error(
                "unknown-board",
                &name.place,
                format!("there is no board `{}`", name.it),
            )
            .maybe_help(did_you_mean(&name.it, known))
            .help(format!("boards are {}", list(&known))),
        );
    }
    Some(At::new(board?, name.place.clone()))
}
