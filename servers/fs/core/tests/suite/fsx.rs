//! What `fsx` does: random reads, writes and cuts of a file against a copy in memory.

use crate::support::{NEW, Paths, Random, each};

/// Most bytes of the file.
const LIMIT: u64 = 256 * 1024;

#[test]
fn random_reads_and_writes_agree_with_a_copy() {
    let steps = std::env::var("GRITOS_FSX_STEPS")
        .ok()
        .and_then(|n| n.parse().ok());
    for seed in 1..=3 {
        each(|vfs, on| run(vfs, on.name, seed, steps.unwrap_or(2_000)));
    }
}

fn run(vfs: &mut gritos_fs_core::vfs::Vfs, name: &str, seed: u64, steps: u32) {
    let mut random = Random::new(seed);
    let mut copy: Vec<u8> = Vec::new();
    let mut file = vfs.at("/m/fsx", NEW).expect("open");
    for step in 0..steps {
        let offset = random.below(LIMIT);
        let length = match random.below(4) {
            0 => random.below(16),
            1 => random.below(LIMIT - offset),
            _ => random.below(8192),
        }
        .min(LIMIT - offset) as usize;
        let context = || format!("{name}, seed {seed}, step {step}, {length} bytes at {offset}");
        match random.below(10) {
            0..=3 => {
                let mut bytes = vec![0xaa; length];
                let count = vfs
                    .read(file, offset, &mut bytes)
                    .unwrap_or_else(|e| panic!("{e:?} {}", context()));
                let from = copy.get(offset as usize..).unwrap_or(&[]);
                let expected = &from[..from.len().min(length)];
                assert!(&bytes[..count] == expected, "read: {}", context());
            }
            4..=7 => {
                let bytes = random.bytes(length);
                let end = offset as usize + length;
                let mut done = 0;
                while done < length {
                    done += vfs
                        .write(file, offset + done as u64, &bytes[done..])
                        .unwrap_or_else(|e| panic!("{e:?} {}", context()));
                }
                if length > 0 {
                    copy.resize(copy.len().max(end), 0);
                    copy[offset as usize..end].copy_from_slice(&bytes);
                }
            }
            8 => {
                vfs.truncate(file, offset)
                    .unwrap_or_else(|e| panic!("{e:?} {}", context()));
                copy.resize(offset as usize, 0);
            }
            _ if step % 3 == 0 => vfs
                .fsync(file)
                .unwrap_or_else(|e| panic!("{e:?} {}", context())),
            _ => {
                vfs.close(file);
                file = vfs.at("/m/fsx", NEW).expect("open again");
            }
        }
        assert_eq!(
            vfs.size("/m/fsx"),
            Ok(copy.len() as u64),
            "size: {}",
            context()
        );
    }
    vfs.close(file);
    assert!(
        vfs.content("/m/fsx").expect("read") == copy,
        "{name}, seed {seed}: at the end"
    );
    vfs.rm("/m/fsx").expect("remove");
}
