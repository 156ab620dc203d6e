//! The screens of the live view, and the orders of their lines.

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Screen {
    /// Connections in each state, and how long they stay there.
    #[default]
    States,
    /// Listening sockets and their queues.
    Listeners,
    /// Live connections.
    Connections,
    /// Connections of each process or container.
    Processes,
    /// Why connections ended.
    Reasons,
    /// Findings of a diagnosis.
    Findings,
}

impl Screen {
    /// All screens, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::States,
        Self::Listeners,
        Self::Connections,
        Self::Processes,
        Self::Reasons,
        Self::Findings,
    ];

    /// The names.
    pub const NAMES: &[(&str, Self)] = &[
        ("states", Self::States),
        ("listeners", Self::Listeners),
        ("connections", Self::Connections),
        ("processes", Self::Processes),
        ("reasons", Self::Reasons),
        ("findings", Self::Findings),
    ];

    /// Its place among all screens.
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|s| *s == self).unwrap_or(0)
    }

    /// The screen that is `steps` after this one; after the last one comes the first.
    pub fn after(self, steps: usize) -> Self {
        Self::ALL[(self.index() + steps) % Self::ALL.len()]
    }

    /// Orders of its lines; the first is the default.
    pub fn orders(self) -> &'static [Order] {
        match self {
            Self::States => &[Order::Name, Order::Count, Order::Rate],
            Self::Listeners => &[Order::Queue, Order::Count, Order::Name],
            Self::Connections => &[
                Order::Time,
                Order::Age,
                Order::Rate,
                Order::Bytes,
                Order::Retrans,
            ],
            Self::Processes => &[Order::Count, Order::Bytes, Order::Retrans, Order::Name],
            Self::Reasons => &[Order::Rate, Order::Count, Order::Name],
            Self::Findings => &[],
        }
    }
}

/// An order of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Latest first.
    Time,
    /// Longest in the state first.
    Age,
    /// Most per second first.
    Rate,
    /// Most bytes first.
    Bytes,
    /// Most retransmitted segments first.
    Retrans,
    /// Largest number first.
    Count,
    /// Fullest queue first.
    Queue,
    /// By name, state or address.
    Name,
}

impl Order {
    /// The names.
    pub const NAMES: &[(&str, Self)] = &[
        ("time", Self::Time),
        ("age", Self::Age),
        ("rate", Self::Rate),
        ("bytes", Self::Bytes),
        ("retrans", Self::Retrans),
        ("count", Self::Count),
        ("queue", Self::Queue),
        ("name", Self::Name),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(_, order)| *order == self);
        known.map_or("", |(name, _)| name)
    }
}

/// What connections are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// The process.
    #[default]
    Process,
    /// The container, or the control group.
    Container,
}

impl By {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Process => Self::Container,
            Self::Container => Self::Process,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_screen_and_order_has_a_name() {
        assert_eq!(Screen::NAMES.len(), Screen::ALL.len());
        for (screen, (_, named)) in Screen::ALL.iter().zip(Screen::NAMES) {
            assert_eq!(screen, named);
            assert!(screen.orders().iter().all(|o| !o.name().is_empty()));
        }
        assert_eq!(Screen::Findings.after(1), Screen::States);
        assert_eq!(Screen::States.after(5), Screen::Findings);
        assert_eq!(By::Process.other().other(), By::Process);
    }
}
