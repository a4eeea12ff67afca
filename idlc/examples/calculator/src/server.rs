//! The calculator itself.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem::take;

use example_calculator_api::{
    CalculatorError, CalculatorServer, CalculatorSumReply, CalculatorWaitForTicket, Operation,
};
use gritos_idl_runtime::{Caller, Hooks, Later, Response, ServerPort};

/// A memory per client, and those who wait for one to reach a value.
#[derive(Default)]
pub struct Memories {
    sums: BTreeMap<u32, i64>,
    waiting: Vec<(u32, i64, CalculatorWaitForTicket)>,
}

impl CalculatorServer for Memories {
    fn calculate(
        &mut self,
        caller: Caller,
        left: i64,
        right: i64,
        operation: Operation,
    ) -> Result<i64, CalculatorError> {
        let result = match operation {
            Operation::Add => left.checked_add(right),
            Operation::Subtract => left.checked_sub(right),
            Operation::Multiply => left.checked_mul(right),
            Operation::Divide if right == 0 => return Err(CalculatorError::DivisionByZero),
            Operation::Divide => left.checked_div(right),
        };
        let result = result.ok_or(CalculatorError::Overflow)?;
        let sum = self.sums.entry(caller.badge).or_default();
        *sum = sum.checked_add(result).ok_or(CalculatorError::Overflow)?;
        Ok(result)
    }

    fn sum(
        &mut self,
        _caller: Caller,
        left: u64,
        right: u64,
    ) -> Result<CalculatorSumReply, CalculatorError> {
        let (low, carry) = left.overflowing_add(right);
        Ok(CalculatorSumReply {
            low,
            carry: u64::from(carry),
        })
    }

    fn memory(&mut self, caller: Caller) -> Result<i64, CalculatorError> {
        Ok(self.sum_of(caller.badge))
    }

    fn clear(&mut self, caller: Caller) {
        self.sums.remove(&caller.badge);
    }

    fn wait_for(
        &mut self,
        caller: Caller,
        later: Later<'_, CalculatorWaitForTicket>,
        value: i64,
    ) -> Response<i64, CalculatorError> {
        let sum = self.sum_of(caller.badge);
        if sum >= value {
            return Response::Now(Ok(sum));
        }
        self.waiting.push((caller.badge, value, later.keep()));
        Response::Later
    }
}

impl Memories {
    fn sum_of(&self, client: u32) -> i64 {
        self.sums.get(&client).copied().unwrap_or(0)
    }
}

/// After each message: answers whoever waited for what it brought about.
impl<P: ServerPort> Hooks<P> for Memories {
    fn turn(&mut self, port: &mut P) {
        let reached = |client: u32, value: i64, sums: &BTreeMap<u32, i64>| {
            sums.get(&client).copied().filter(|sum| *sum >= value)
        };
        let (ready, waiting) =
            take(&mut self.waiting)
                .into_iter()
                .partition::<Vec<_>, _>(|(client, value, _)| {
                    reached(*client, *value, &self.sums).is_some()
                });
        self.waiting = waiting;
        for (client, _, ticket) in ready {
            // A caller that has gone away meanwhile is no concern of ours.
            let _ = ticket.answer(port, Ok(self.sum_of(client)));
        }
    }
}
