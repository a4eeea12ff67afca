//! Many who call at the same moment.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::Guest;
use super::ready;
use crate::lan::{ACK, Connection, FIN, PATIENCE, RST, SYN};

/// As many as load generators open at once.
const CALLERS: usize = 100;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n";

/// A hundred first segments in a row, each of which is answered the first time; then a hundred requests in a row.
pub(super) fn at_once(guest: &mut Guest<'_>) -> Result<()> {
    let lan = ready(guest)?;
    // The web server may have started just now.
    let mut first = Connection::connect(lan, 80)?;
    first.say(REQUEST);
    let page = first.read_to_end()?;
    first.signal(FIN | ACK);
    ensure!(page.starts_with(b"HTTP/1.1 200"), "no page");
    lan.clear();

    let mut callers: Vec<_> = (0..CALLERS)
        .map(|_| Connection::new(lan, 80, 1000))
        .collect();
    for caller in &mut callers {
        let mut call = caller.segment(SYN);
        call.options.clone_from(&caller.options);
        caller.seq = call.end();
        caller.send(call);
    }
    for (number, caller) in callers.iter_mut().enumerate() {
        let answer = caller.hear_within(PATIENCE);
        let answer = answer.with_context(|| format!("call {number} is not answered"))?;
        ensure!(
            answer.has(SYN) && answer.has(ACK) && !answer.has(RST) && answer.ack == caller.seq,
            "call {number}: {answer:?}"
        );
        caller.ack = answer.end();
    }
    for caller in &mut callers {
        caller.send(caller.segment(ACK));
        caller.say(REQUEST);
    }
    for (number, caller) in callers.iter_mut().enumerate() {
        let heard = caller.read_to_end();
        let heard = heard.with_context(|| format!("request {number}"))?;
        ensure!(heard == page, "request {number}: {} bytes", heard.len());
        caller.signal(FIN | ACK);
    }
    // All are over: the next one is served as the first was.
    lan.find(Duration::from_millis(100), |_| None::<()>);
    lan.clear();
    let mut last = Connection::connect(lan, 80)?;
    last.say(REQUEST);
    ensure!(last.read_to_end()? == page, "the page after all");
    last.signal(FIN | ACK);
    Ok(())
}
