//! Messages to and from name servers (RFC 1035, "Messages").

use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::{
    DnsFlags, DnsOpcode, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode, DnsRecord, DnsRecordData,
    DnsRepr,
};

/// Most bytes of a label.
const LABEL_LIMIT: usize = 63;
/// Most names that stand for another in one answer.
const ALIAS_LIMIT: usize = 8;
/// Most records of an answer that are looked at.
const RECORD_LIMIT: usize = 64;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ipv4 = 0,
    Ipv6 = 1,
}

impl Kind {
    const fn wire(self) -> DnsQueryType {
        match self {
            Self::Ipv4 => DnsQueryType::A,
            Self::Ipv6 => DnsQueryType::Aaaa,
        }
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answers something else, or is malformed.
    NotTheAnswer,
    /// These are all addresses; maybe none.
    Addresses(Vec<IpAddr>),
    /// The server cannot tell.
    Failed,
}

/// A name as it stands in messages; `None` if it cannot be one.
pub(crate) fn encode_name(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut name = Vec::new();
    for label in text.split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if label.is_empty() || label.len() > LABEL_LIMIT || !label.is_ascii() {
            return None;
        }
        name.push(length);
        name.extend_from_slice(label.as_bytes());
    }
    name.push(0);
    (name.len() <= 255).then_some(name)
}

/// The message that asks for `name`.
pub(super) fn question(name: &[u8], kind: Kind, number: u16) -> Vec<u8> {
    let question = DnsRepr {
        transaction_id: number,
        opcode: DnsOpcode::Query,
        flags: DnsFlags::RECURSION_DESIRED,
        question: DnsQuestion {
            name,
            type_: kind.wire(),
        },
    };
    let mut bytes = alloc::vec![0; question.buffer_len()];
    question.emit(&mut DnsPacket::new_unchecked(&mut bytes[..]));
    bytes
}

/// Reads the answer to a question.
pub(super) fn read(bytes: &[u8], name: &[u8], kind: Kind, number: u16) -> Verdict {
    let Ok(packet) = DnsPacket::new_checked(bytes) else {
        return Verdict::NotTheAnswer;
    };
    let is_answer = packet.transaction_id() == number
        && packet.opcode() == DnsOpcode::Query
        && packet.flags().contains(DnsFlags::RESPONSE)
        && packet.question_count() == 1;
    if !is_answer {
        return Verdict::NotTheAnswer;
    }
    let Ok((records, asked)) = DnsQuestion::parse(packet.payload()) else {
        return Verdict::NotTheAnswer;
    };
    let wanted = labels(&packet, name);
    if asked.type_ != kind.wire() || labels(&packet, asked.name) != wanted {
        return Verdict::NotTheAnswer;
    }
    match packet.rcode() {
        DnsRcode::NoError => {}
        DnsRcode::NXDomain => return Verdict::Addresses(Vec::new()),
        _ => return Verdict::Failed,
    }
    let Some(records) = parse_records(records, packet.answer_record_count()) else {
        return Verdict::NotTheAnswer;
    };
    Verdict::Addresses(follow(&packet, &records, wanted))
}

fn parse_records(mut bytes: &[u8], count: u16) -> Option<Vec<DnsRecord<'_>>> {
    let mut records = Vec::new();
    for _ in 0..usize::from(count).min(RECORD_LIMIT) {
        let (rest, record) = DnsRecord::parse(bytes).ok()?;
        records.push(record);
        bytes = rest;
    }
    Some(records)
}

/// The addresses of a name, through the names that stand for others.
fn follow(
    packet: &DnsPacket<&[u8]>,
    records: &[DnsRecord<'_>],
    mut wanted: Option<Vec<u8>>,
) -> Vec<IpAddr> {
    for _ in 0..ALIAS_LIMIT {
        let of_name = || {
            let wanted = &wanted;
            records
                .iter()
                .filter(move |record| wanted.is_some() && labels(packet, record.name) == *wanted)
        };
        let addresses: Vec<IpAddr> = of_name()
            .filter_map(|record| match record.data {
                DnsRecordData::A(v4) => Some(v4.into()),
                DnsRecordData::Aaaa(v6) => Some(v6.into()),
                _ => None,
            })
            .collect();
        if !addresses.is_empty() {
            return addresses;
        }
        let alias = of_name().find_map(|record| match record.data {
            DnsRecordData::Cname(name) => Some(labels(packet, name)),
            _ => None,
        });
        match alias {
            Some(alias) => wanted = alias,
            None => return Vec::new(),
        }
    }
    Vec::new()
}

/// A name without compression, in lower case; `None` if it is malformed.
fn labels(packet: &DnsPacket<&[u8]>, name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    for label in packet.parse_name(name) {
        let label = label.ok()?;
        plain.push(label.len() as u8);
        plain.extend(label.iter().map(u8::to_ascii_lowercase));
        if plain.len() > 255 {
            return None;
        }
    }
    Some(plain)
}
