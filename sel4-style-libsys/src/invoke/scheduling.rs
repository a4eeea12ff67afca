//! Scheduling contexts, and the authority to fill them.

use gritos_abi::method::{SchedControl as Control, SchedulingContext as Method};

use super::Argument;
use crate::cap::{Cap, SchedControl, SchedulingContext, require};
use crate::error::Error;

/// State of a scheduling context, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextInfo {
    /// Time per period.
    pub budget: u64,
    /// The period.
    pub period: u64,
    /// Time left in this period.
    pub left: u64,
    /// Time used since the context was made.
    pub used: u64,
}

impl<const R: u32> Cap<SchedulingContext, R> {
    /// Budget, period and use.
    ///
    /// # Errors
    /// `MissingRight`.
    pub fn info(self) -> Result<ContextInfo, Error> {
        require!(R, READ);
        let words = self.invoke(Method::Info as u64, [])?;
        Ok(ContextInfo {
            budget: words[0],
            period: words[1],
            left: words[2],
            used: words[3],
        })
    }
}

impl<const R: u32> Cap<SchedControl, R> {
    /// Gives `context` so many nanoseconds in each period. Budget = period is
    /// a time slice for round robin.
    ///
    /// # Errors
    /// `WrongType`, `MissingRight`, `InvalidArgument`.
    pub fn configure(
        self,
        context: Cap<SchedulingContext>,
        budget: u64,
        period: u64,
    ) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke_with(
            Control::Configure as u64,
            [budget, period],
            [Argument::new(context)],
        )?;
        Ok(())
    }
}
