//! The network: many requests, hostile clients, long streams and files, kills under traffic, bad wires.

use super::{Action, Step};
use crate::toolchain;
use crate::verb::test::system::soak_network as network;
use crate::workspace::Workspace;

/// Files of 64 MiB that go in and out: one unless `GRITOS_SOAK_FILES` says how many; 16 are a gibibyte.
const FILES: &str = "GRITOS_SOAK_FILES";
/// Steps of ten kills each, for each component.
const KILLS: u64 = 10;
/// Steps of some rounds each over a bad wire.
const WIRES: u64 = 5;

pub(super) fn steps() -> Vec<Step> {
    let files = std::env::var(FILES)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let step = |label: String, run: Action| Step { label, run };
    let requests = step(
        "10,000 requests through 100 connections".to_string(),
        Box::new(network::requests),
    );
    let files = (1..=files).map(|number| {
        let label = format!("a file of 64 MiB in and out, number {number}");
        step(
            label,
            Box::new(move |workspace| network::file(workspace, number)),
        )
    });
    let wires = (0..WIRES).map(|number| {
        let label = format!(
            "streams over a wire that loses a fifth, part {}",
            number + 1
        );
        let seed = 1000 * (number + 1);
        step(
            label,
            Box::new(move |workspace| network::lossy(workspace, seed)),
        )
    });
    let kills = ["virtio-net", "net"].into_iter().flat_map(|component| {
        (0..KILLS).map(move |number| {
            let (first, last) = (10 * number + 1, 10 * number + 10);
            let label = format!("kills {first} to {last} of {component} under traffic");
            step(
                label,
                Box::new(move |workspace| network::kills(workspace, component)),
            )
        })
    });
    let hostile = step(
        "clients that do all that they can wrong, beside one that streams".to_string(),
        Box::new(network::hostile),
    );
    let loads = step(
        "10,000 requests of ab with 100 connections, kept and not, and wrk".to_string(),
        Box::new(network::loads),
    );
    let gibibyte = step(
        "a gibibyte in and out".to_string(),
        Box::new(network::gibibyte),
    );
    let fuzzed = [
        (
            "a hundred million spoiled frames",
            [
                "gritos-net-core",
                "stack",
                "hostile::random_and_spoiled_frames_do_no_harm",
            ],
            ("GRITOS_FRAMES", "100000000"),
        ),
        (
            "a million random messages",
            [
                "gritos-net-client",
                "machine",
                "hostile::random_messages_do_no_harm",
            ],
            ("GRITOS_MESSAGES", "1000000"),
        ),
    ];
    let fuzzed = fuzzed.map(|(label, [package, program, test], (name, amount))| {
        let run = move |workspace: &Workspace| {
            let mut command = workspace.cargo();
            command.args(["test", "--quiet", "--release", "--package", package]);
            command.args(["--test", program, "--", "--exact", test]);
            toolchain::run(command.env(name, amount))
        };
        step(label.to_string(), Box::new(run))
    });
    [requests, loads, hostile, gibibyte]
        .into_iter()
        .chain(files)
        .chain(wires)
        .chain(kills)
        .chain(fuzzed)
        .collect()
}
