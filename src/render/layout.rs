//! Distributes the columns of a terminal.

/// Width of `255.255.255.255:65535`, and of the longest IPv6 endpoint.
pub const ENDPOINT: [usize; 2] = [21, 47];
/// Minimum width of a shortened endpoint.
pub const SHORTEST: usize = 12;
/// Minimum and maximum width of `PID/NAME`.
pub const PROCESS: [usize; 2] = [12, 23];

/// Remaining columns of a terminal for endpoints and optional columns.
pub struct Room {
    left: usize,
    endpoints: usize,
}

impl Room {
    /// The columns that a terminal of `width` has left after `used` columns and gaps, with this
    /// many endpoints.
    pub fn new(width: usize, used: usize, endpoints: usize) -> Self {
        Self {
            left: width.saturating_sub(used),
            endpoints,
        }
    }

    /// Takes this many columns if the endpoints still fit.
    pub fn take(&mut self, columns: usize) -> bool {
        let fits = self.left >= self.endpoints * ENDPOINT[0] + columns;
        if fits {
            self.left -= columns;
        }
        fits
    }

    /// Width of the process column if its minimum was taken, extended by spare columns.
    pub fn process(&mut self, taken: bool) -> usize {
        if !taken {
            return 0;
        }
        let spare = self.left.saturating_sub(self.endpoints * ENDPOINT[0]);
        let more = spare.min(PROCESS[1] - PROCESS[0]);
        self.left -= more;
        PROCESS[0] + more
    }

    /// Takes what the endpoints do not need.
    pub fn rest(&mut self) -> usize {
        let spare = self.left.saturating_sub(self.endpoints * ENDPOINT[0]);
        self.left -= spare;
        spare
    }

    /// Width of an endpoint: an equal share of the remaining columns.
    pub fn endpoint(self) -> usize {
        (self.left / self.endpoints).clamp(SHORTEST, ENDPOINT[1])
    }
}
