//! Sharing out the columns of a terminal.

/// `255.255.255.255:65535`, and the longest IPv6 endpoint.
pub const ENDPOINT: [usize; 2] = [21, 47];
/// What an endpoint is shortened to at most.
pub const SHORTEST: usize = 12;
/// `PID/NAME`: what is worth a column, and the longest.
pub const PROCESS: [usize; 2] = [12, 23];

/// Columns of a terminal that are left for endpoints and what else there may be.
pub struct Room {
    left: usize,
    endpoints: usize,
}

impl Room {
    /// What a terminal of `width` has beside `used` columns and their gaps, for so many endpoints.
    pub fn new(width: usize, used: usize, endpoints: usize) -> Self {
        Self {
            left: width.saturating_sub(used),
            endpoints,
        }
    }

    /// Takes so many, if the endpoints still fit.
    pub fn take(&mut self, columns: usize) -> bool {
        let fits = self.left >= self.endpoints * ENDPOINT[0] + columns;
        if fits {
            self.left -= columns;
        }
        fits
    }

    /// Width of the process column if its least is taken, and more of what is left.
    pub fn process(&mut self, taken: bool) -> usize {
        if !taken {
            return 0;
        }
        let spare = self.left.saturating_sub(self.endpoints * ENDPOINT[0]);
        let more = spare.min(PROCESS[1] - PROCESS[0]);
        self.left -= more;
        PROCESS[0] + more
    }

    /// Shares what is left.
    pub fn endpoint(self) -> usize {
        (self.left / self.endpoints).clamp(SHORTEST, ENDPOINT[1])
    }
}
