//! What is plugged into a machine besides what its board has: disk, network, entropy.
//!
//! Where the devices of `virt` lie is said in `servers/system.toml`: each has the first of eight
//! virtio-mmio slots on a page of its own, so that a driver is given no neighbour's registers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::Board;

/// Slots of `virtio-mmio` by device.
const DISK_SLOT: u32 = 0;
const NETWORK_SLOT: u32 = 8;
const ENTROPY_SLOT: u32 = 16;

/// What is plugged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Devices {
    /// virtio-blk of `virt`; the card in the Pi's EMMC2.
    pub(crate) disk: Option<Disk>,
    /// On `virt` the disk is a card behind PCI Express.
    pub(crate) card: bool,
    /// virtio-net; `virt` only.
    pub(crate) network: Option<Network>,
    /// virtio-rng; `virt` only.
    pub(crate) entropy: bool,
    /// Unix socket on which QEMU's monitor listens, as JSON (QMP).
    pub(crate) monitor: Option<PathBuf>,
    /// Arguments of QEMU that follow, whatever they are.
    pub(crate) more: Vec<String>,
}

/// A disk, or the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// File with its contents, byte for byte.
    pub(crate) path: PathBuf,
    /// Whether what the guest writes is forgotten when the machine ends.
    pub(crate) forget: bool,
    /// File with rules for QEMU's `blkdebug`: which requests fail.
    pub(crate) faults: Option<PathBuf>,
}

impl Disk {
    /// The file `path`, which the guest changes.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            forget: false,
            faults: None,
        }
    }
}

/// Where the guest's network leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// QEMU's own: the guest reaches what the host reaches, and is reached by these ports.
    User(Vec<Forward>),
    /// To xtask: each frame is a datagram to the Unix socket `out`, and one for the guest comes to `into`.
    Frames { out: PathBuf, into: PathBuf },
}

/// A TCP port of the host, on 127.0.0.1, that leads to one of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forward {
    pub(crate) host: u16,
    pub(crate) guest: u16,
}

impl Devices {
    /// Refuses what `board` has no place for.
    pub(super) fn check(&self, board: Board) -> Result<()> {
        ensure!(
            board == Board::Virt || (self.network.is_none() && !self.entropy),
            "QEMU's raspi4b has no network and no virtio devices; use `--board virt` for them"
        );
        if let Some(disk) = &self.disk {
            ensure!(
                disk.path.is_file(),
                "there is no disk image {}; make one, or leave --disk away",
                disk.path.display()
            );
        }
        Ok(())
    }

    /// The arguments that plug them into `board`.
    pub(super) fn arguments(&self, board: Board) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |option: &str, value: OsString| arguments.extend([option.into(), value]);
        if let Some(disk) = &self.disk {
            let mut drive = OsString::from("if=none,id=disk,format=raw,");
            match &disk.faults {
                None => drive.push("file="),
                Some(rules) => {
                    // The guest is told of errors, and QEMU goes on.
                    drive.push("rerror=report,werror=report,file.driver=blkdebug,file.config=");
                    drive.push(value(rules));
                    drive.push(",file.image.filename=");
                }
            }
            drive.push(value(&disk.path));
            if disk.forget {
                drive.push(",snapshot=on");
            }
            add("-drive", drive);
            let device = match board {
                Board::Virt if self.card => {
                    // Configuration space where handles of memory reach.
                    add("-machine", "highmem-ecam=off".into());
                    add("-device", "sdhci-pci,sd-spec-version=3,addr=1".into());
                    "sd-card,drive=disk".to_string()
                }
                Board::Virt => virtio("blk", "drive=disk", DISK_SLOT),
                // `if=sd` would be the other controller, which the Pi's card is not on.
                Board::Rpi4 => "sd-card,drive=disk,bus=/generic-sdhci/sd-bus".to_string(),
            };
            add("-device", device.into());
        }
        if let Some(network) = &self.network {
            add("-netdev", network.backend());
            let device = virtio("net", "netdev=network", NETWORK_SLOT);
            add("-device", device.into());
        }
        if self.entropy {
            let bus = format!("virtio-rng-device,bus=virtio-mmio-bus.{ENTROPY_SLOT}");
            add("-device", bus.into());
        }
        if let Some(path) = &self.monitor {
            let mut socket = OsString::from("unix:");
            socket.push(value(path));
            socket.push(",server=on,wait=off");
            add("-qmp", socket);
        }
        arguments.extend(self.more.iter().map(OsString::from));
        arguments
    }
}

impl Network {
    fn backend(&self) -> OsString {
        match self {
            Self::Frames { out, into } => {
                let mut line = OsString::from("dgram,id=network,local.type=unix,local.path=");
                line.push(value(into));
                line.push(",remote.type=unix,remote.path=");
                line.push(value(out));
                line
            }
            Self::User(forwards) => forwards
                .iter()
                .fold("user,id=network".to_string(), |line, forward| {
                    let Forward { host, guest } = forward;
                    line + &format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}")
                })
                .into(),
        }
    }
}

fn virtio(kind: &str, what: &str, slot: u32) -> String {
    format!("virtio-{kind}-device,{what},bus=virtio-mmio-bus.{slot}")
}

/// A path within an option of QEMU, where a comma is written twice.
fn value(path: &Path) -> OsString {
    match path.to_str() {
        Some(text) => text.replace(',', ",,").into(),
        None => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, Devices, Disk, Forward, Network};

    fn line(devices: &Devices, board: Board) -> String {
        let arguments = devices.arguments(board);
        let words: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn devices_of_virt_lie_where_the_system_table_has_them() {
        let devices = Devices {
            disk: Some(Disk {
                path: "a,b.img".into(),
                forget: true,
                faults: None,
            }),
            card: false,
            network: Some(Network::User(vec![Forward {
                host: 8080,
                guest: 80,
            }])),
            entropy: true,
            monitor: Some("m.qmp".into()),
            more: vec!["-d".into(), "int".into()],
        };
        assert_eq!(
            line(&devices, Board::Virt),
            "-drive if=none,id=disk,format=raw,file=a,,b.img,snapshot=on \
             -device virtio-blk-device,drive=disk,bus=virtio-mmio-bus.0 \
             -netdev user,id=network,hostfwd=tcp:127.0.0.1:8080-:80 \
             -device virtio-net-device,netdev=network,bus=virtio-mmio-bus.8 \
             -device virtio-rng-device,bus=virtio-mmio-bus.16 \
             -qmp unix:m.qmp,server=on,wait=off -d int"
        );
        assert!(devices.check(Board::Rpi4).is_err());
    }

    #[test]
    fn frames_go_to_one_socket_and_come_from_another() {
        let devices = Devices {
            network: Some(Network::Frames {
                out: "a,b".into(),
                into: "c".into(),
            }),
            ..Devices::default()
        };
        assert!(line(&devices, Board::Virt).starts_with(
            "-netdev dgram,id=network,local.type=unix,local.path=c,\
             remote.type=unix,remote.path=a,,b -device virtio-net-device"
        ));
    }

    #[test]
    fn the_pi_s_disk_is_its_card_and_its_file_must_be_there() {
        let devices = Devices {
            disk: Some(Disk::at("no such file")),
            ..Devices::default()
        };
        assert!(line(&devices, Board::Rpi4).contains("sd-card,drive=disk,bus=/generic-sdhci"));
        assert!(devices.check(Board::Rpi4).is_err());
    }
}
