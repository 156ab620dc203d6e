//! The module's device: every system call that needs `unsafe` is here, behind
//! safe methods.

#![allow(unsafe_code, reason = "ioctl and mmap")]

use std::any::Any;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem::take;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::{c_void, off_t};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::abi::{
    self, Activate, CONN_SIZE, Consume, Consumed, LISTENER_SIZE, ListenerBytes, PAIR_SIZE,
    PairBytes, Snapshot, Table, call,
};
use crate::backend::events::{self, Rings};
use crate::backend::ring::{RingReader, RingView};
use crate::backend::{Backend, DrainLock, Events, Recorder, Start, node, positions};
use crate::error::{Error, Result};
use crate::model::activation::{Activation, Settings};
use crate::model::clock::ClockChange;
use crate::model::conn::Conn;
use crate::model::event::{Progress, RingState};
use crate::model::hook::Hook;
use crate::model::listener::Listener;
use crate::model::lives::{self, InCgroup, Lives};
use crate::model::pair::Pair;
use crate::model::stats::Stats;
use crate::model::transition_count::TransitionCount;
use crate::model::version::Version;

/// Names another device node. For tests and for nodes that were made elsewhere.
pub const DEVICE_VARIABLE: &str = "DIAGNOSE_TOOLS_DEVICE";

/// Live connections asked for in one call (216 bytes each).
const SNAPSHOT_BATCH: u32 = 2048;
/// Elements that a table call is first tried with.
const TABLE_START: u32 = 64;
/// A table that grows faster than we ask is given up after so many tries.
const TABLE_TRIES: u32 = 8;

mod ioctl {
    //! nix's macros make each an `unsafe fn` of the descriptor and a pointer.
    #![allow(
        missing_docs,
        clippy::undocumented_unsafe_blocks,
        reason = "made by nix"
    )]
    use super::*;

    nix::ioctl_read_bad!(get_version, call::GET_VERSION, abi::Version);
    nix::ioctl_readwrite_bad!(activate, call::ACTIVATE, Activate);
    nix::ioctl_none_bad!(deactivate, call::DEACTIVATE);
    nix::ioctl_read_bad!(get_settings, call::GET_SETTINGS, abi::Settings);
    nix::ioctl_read_bad!(get_stats, call::GET_STATS, abi::Stats);
    nix::ioctl_readwrite_bad!(get_transition_counts, call::GET_TRANSITION_COUNTS, Table);
    nix::ioctl_readwrite_bad!(get_rings, call::GET_RINGS, Table);
    nix::ioctl_readwrite_bad!(get_hooks, call::GET_HOOKS, Table);
    nix::ioctl_readwrite_bad!(get_listeners, call::GET_LISTENERS, Table);
    nix::ioctl_readwrite_bad!(get_pairs, call::GET_PAIRS, Table);
    nix::ioctl_read_bad!(get_lives, call::GET_LIVES, abi::Lives);
    nix::ioctl_readwrite_bad!(get_cgroups, call::GET_CGROUPS, Table);
    nix::ioctl_readwrite_bad!(get_clocks, call::GET_CLOCKS, Table);
    nix::ioctl_readwrite_bad!(snapshot, call::SNAPSHOT, Snapshot);
    nix::ioctl_write_ptr_bad!(consume, call::CONSUME, Consume);
    nix::ioctl_write_ptr_bad!(seen, call::SEEN, u64);
}

/// Structures that a table call fills, or the bytes of one.
///
/// # Safety
/// Implementors are `repr(C)`, of integers and byte arrays only: the kernel may
/// write any bytes into them.
unsafe trait Element: Clone {
    /// One of zeroes.
    fn zero() -> Self;
}

macro_rules! elements {
    ($($name:ty = $zero:expr;)*) => {$(
        // SAFETY: bindgen's, of integers and byte arrays, or bytes.
        unsafe impl Element for $name {
            fn zero() -> Self {
                $zero
            }
        }
    )*};
}

elements! {
    abi::ClockChange = Self::default();
    abi::TransitionCount = Self::default();
    abi::RingState = Self::default();
    abi::Hook = Self::default();
    abi::Cgroup = Self::default();
    ListenerBytes = [0; LISTENER_SIZE];
    PairBytes = [0; PAIR_SIZE];
}

/// One `nix` ioctl of [`Table`].
type TableCall = unsafe fn(i32, *mut Table) -> nix::Result<i32>;

/// A read-only mapping of a ring.
struct Mapping {
    start: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: memory that is only read may be read, and unmapped, from any thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and bytes are those of a successful mmap, and every
        // view of the mapping holds an Arc of it. Failure leaves it mapped.
        let _ = unsafe { munmap(self.start, self.bytes) };
    }
}

/// The open device.
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
}

/// Where the device's node is.
pub fn device_path() -> PathBuf {
    match std::env::var_os(DEVICE_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => Path::new("/dev").join(abi::DEVICE_NAME),
    }
}

impl Device {
    /// Opens the device and compares both versions.
    ///
    /// # Errors
    /// Not loaded, no permission, not the module's device, another version.
    pub fn open() -> Result<Self> {
        let device = Self::open_any_version()?;
        check_version(&device.version()?)?;
        Ok(device)
    }

    /// Opens the device whatever its version is: for unloading, and for telling it.
    ///
    /// # Errors
    /// Not loaded, no permission, an old node of another device.
    pub fn open_any_version() -> Result<Self> {
        let path = device_path();
        node::check(&path)?;
        // std adds O_CLOEXEC.
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => Err(open_error(&path, error)),
        }
    }

    /// The module's versions.
    ///
    /// # Errors
    /// Not the module's device.
    pub fn version(&self) -> Result<Version> {
        // SAFETY: the call fills one Version, which `read` makes room for.
        let version = self.read("GET_VERSION", |fd, out| unsafe {
            ioctl::get_version(fd, out)
        });
        version.map(|version| Version::from_abi(&version))
    }

    fn raw(&self) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(&self.file)
    }

    fn read<T: Default>(
        &self,
        what: &str,
        request: impl Fn(i32, *mut T) -> nix::Result<i32>,
    ) -> Result<T> {
        let mut out = T::default();
        request(self.raw(), &mut out).map_err(|e| self.error(what, e))?;
        Ok(out)
    }

    fn table<T: Element, M>(
        &self,
        what: &str,
        request: TableCall,
        decode: impl Fn(&T) -> M,
    ) -> Result<Vec<M>> {
        let table = self.raw_table(what, request)?;
        Ok(table.iter().map(decode).collect())
    }

    fn raw_table<T: Element>(&self, what: &str, request: TableCall) -> Result<Vec<T>> {
        // SAFETY: entries points to `capacity` elements that take any bytes.
        let table = read_table(|table| unsafe { request(self.raw(), table) });
        table.map_err(|e| self.error(what, e))
    }

    /// The next live connections; none when all were given since the last `restart`.
    fn snapshot(&self, restart: bool) -> Result<Vec<Conn>> {
        let mut bytes = vec![0u8; SNAPSHOT_BATCH as usize * CONN_SIZE];
        let mut call = Snapshot {
            entries: bytes.as_mut_ptr() as u64,
            capacity: SNAPSHOT_BATCH,
            restart: u32::from(restart),
            ..Snapshot::default()
        };
        // SAFETY: entries points to room for `capacity` elements, as bytes.
        let done = unsafe { ioctl::snapshot(self.raw(), &mut call) };
        done.map_err(|e| self.error("SNAPSHOT", e))?;
        let conns = bytes.chunks_exact(CONN_SIZE).take(call.count as usize);
        Ok(conns
            .filter_map(|b| b.try_into().ok())
            .map(Conn::decode)
            .collect())
    }

    fn map(&self, settings: &Settings, cpu: u32) -> std::result::Result<Mapping, Errno> {
        let bytes = usize::try_from(settings.ring_bytes).map_err(|_| Errno::EOVERFLOW)?;
        let length = NonZeroUsize::new(bytes).ok_or(Errno::EINVAL)?;
        let offset = u64::from(cpu).checked_mul(settings.ring_bytes);
        let offset = offset
            .and_then(|o| off_t::try_from(o).ok())
            .ok_or(Errno::EOVERFLOW)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no
        // memory of this process.
        let start = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ,
                MapFlags::MAP_SHARED,
                &self.file,
                offset,
            )
        }?;
        Ok(Mapping { start, bytes })
    }

    fn error(&self, what: &str, errno: Errno) -> Error {
        match errno {
            Errno::EACCES | Errno::EPERM => Error::Permission,
            Errno::EALREADY => Error::AlreadyActive,
            Errno::ENOLINK => Error::NotActive,
            Errno::ESTALE => Error::Stale,
            Errno::ENOTTY => Error::NotTheDevice(self.path.display().to_string()),
            _ => Error::system(format!("{what} on {}", self.path.display()), errno),
        }
    }

    fn activate_error(&self, call: &Activate, errno: Errno) -> Error {
        match errno {
            Errno::ENOENT => Error::NoHook(abi::padded_text(&call.failed_symbol)),
            Errno::ENOMEM => Error::NoMemory(memory_wanted(&call.config)),
            Errno::EBUSY => Error::FtraceDisabled,
            _ => self.error("activation", errno),
        }
    }
}

/// Asks for a table, with more room as long as there is not enough: it may grow meanwhile.
fn read_table<T: Element>(
    mut request: impl FnMut(&mut Table) -> nix::Result<i32>,
) -> std::result::Result<Vec<T>, Errno> {
    let mut capacity = TABLE_START;
    for _ in 0..TABLE_TRIES {
        let mut entries = vec![T::zero(); capacity as usize];
        let mut table = Table {
            entries: entries.as_mut_ptr() as u64,
            capacity,
            count: 0,
        };
        match request(&mut table) {
            Ok(_) => {
                entries.truncate(table.count as usize);
                return Ok(entries);
            }
            // Some room for what is added until the next try.
            Err(Errno::ENOSPC) => capacity = table.count.saturating_add(table.count / 8 + 16),
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::ENOSPC)
}

/// The kernel would take kprobes all the same, and warn in its log when they go.
fn ftrace_is_disabled() -> bool {
    fs::read_to_string("/proc/sys/kernel/ftrace_enabled").is_ok_and(|text| text.trim() == "0")
}

impl Backend for Device {
    fn settings(&self) -> Result<Option<Settings>> {
        // SAFETY: the call fills one Settings, which `read` makes room for.
        let settings = self.read("GET_SETTINGS", |fd, out| unsafe {
            ioctl::get_settings(fd, out)
        });
        settings.map(|settings| Settings::from_abi(&settings))
    }

    fn stats(&self) -> Result<Stats> {
        // SAFETY: the call fills one Stats, which `read` makes room for.
        let stats = self.read("GET_STATS", |fd, out| unsafe { ioctl::get_stats(fd, out) });
        stats.map(|stats| Stats::from_abi(&stats))
    }

    fn clocks(&self) -> Result<Vec<ClockChange>> {
        self.table("GET_CLOCKS", ioctl::get_clocks, ClockChange::from_abi)
    }

    fn transition_counts(&self) -> Result<Vec<TransitionCount>> {
        self.table(
            "GET_TRANSITION_COUNTS",
            ioctl::get_transition_counts,
            TransitionCount::from_abi,
        )
    }

    fn lives(&self) -> Result<Lives> {
        // SAFETY: the call fills one Lives, which `read` makes room for.
        let lives = self.read("GET_LIVES", |fd, out| unsafe { ioctl::get_lives(fd, out) });
        lives.map(|lives| Lives::from_abi(&lives))
    }

    fn cgroups(&self) -> Result<Vec<InCgroup>> {
        let cgroups = self.raw_table("GET_CGROUPS", ioctl::get_cgroups);
        cgroups.map(|cgroups| lives::cgroups_from_abi(&cgroups))
    }

    fn hooks(&self) -> Result<Vec<Hook>> {
        self.table("GET_HOOKS", ioctl::get_hooks, Hook::from_abi)
    }

    fn listeners(&self) -> Result<Vec<Listener>> {
        self.table("GET_LISTENERS", ioctl::get_listeners, Listener::decode)
    }

    fn pairs(&self) -> Result<Vec<Pair>> {
        self.table("GET_PAIRS", ioctl::get_pairs, Pair::decode)
    }

    fn rings(&self) -> Result<Vec<RingState>> {
        self.table("GET_RINGS", ioctl::get_rings, RingState::from_abi)
    }

    fn live(&self) -> Box<dyn Iterator<Item = Result<Vec<Conn>>> + '_> {
        Box::new(Live {
            device: self,
            restart: true,
        })
    }

    fn events(&self, settings: &Settings, start: Start) -> Result<Box<dyn Events + '_>> {
        events::of_rings(self, settings, start)
    }

    fn recorder(&self) -> Option<&dyn Recorder> {
        Some(self)
    }
}

/// The batches of one snapshot.
struct Live<'a> {
    device: &'a Device,
    restart: bool,
}

impl Iterator for Live<'_> {
    type Item = Result<Vec<Conn>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.device.snapshot(take(&mut self.restart)) {
            Ok(batch) if batch.is_empty() => None,
            other => Some(other),
        }
    }
}

impl Rings for Device {
    fn map_ring(&self, settings: &Settings, cpu: u32) -> Result<RingReader> {
        let mapping = self.map(settings, cpu);
        let mapping =
            mapping.map_err(|e| self.error(&format!("mapping the ring of CPU {cpu}"), e))?;
        let (start, bytes) = (mapping.start.cast(), mapping.bytes);
        let keep: Arc<dyn Any + Send + Sync> = Arc::new(mapping);
        // SAFETY: the mapping is page-aligned, `bytes` long, readable, held by `keep`,
        // and written by the kernel only.
        let view = unsafe { RingView::with_owner(start, bytes, keep) };
        RingReader::new(view).map_err(|e| Error::Ring { cpu, reason: e.0 })
    }
}

impl Recorder for Device {
    fn activate(&self, activation: &Activation) -> Result<()> {
        if ftrace_is_disabled() {
            return Err(Error::FtraceDisabled);
        }
        let mut call = Activate {
            config: activation.to_abi(),
            ..Activate::default()
        };
        // SAFETY: the call reads and writes one Activate.
        match unsafe { ioctl::activate(self.raw(), &mut call) } {
            Ok(_) => Ok(()),
            Err(errno) => Err(self.activate_error(&call, errno)),
        }
    }

    fn deactivate(&self) -> Result<()> {
        // SAFETY: the call takes no memory.
        let done = unsafe { ioctl::deactivate(self.raw()) };
        done.map(drop).map_err(|e| self.error("deactivation", e))
    }

    fn consume(&self, generation: u64, read: &[Progress]) -> Result<()> {
        let positions: Vec<Consumed> = read.iter().map(consumed).collect();
        let call = Consume {
            generation,
            entries: positions.as_ptr() as u64,
            count: positions.len() as u32,
            reserved: 0,
        };
        // SAFETY: the call reads one Consume and the `count` elements that it points to.
        let done = unsafe { ioctl::consume(self.raw(), &call) };
        done.map(drop).map_err(|e| self.error("CONSUME", e))
    }

    fn seen(&self, read: &[Progress]) -> Result<()> {
        // SAFETY: the call reads one u64.
        let done = unsafe { ioctl::seen(self.raw(), &positions(read)) };
        done.map(drop).map_err(|e| self.error("SEEN", e))
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The lock belongs to the open file, so a killed process gives it back.
    fn try_lock(&self) -> Result<Option<DrainLock>> {
        let what = || format!("locking {}", self.path.display());
        let file = self
            .file
            .try_clone()
            .map_err(|e| Error::system(what(), e))?;
        match Flock::lock(OwnedFd::from(file), FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(DrainLock::new(lock))),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(Error::system(what(), errno)),
        }
    }
}

fn consumed(read: &Progress) -> Consumed {
    Consumed {
        cpu: read.cpu,
        reserved: 0,
        from: read.from,
        to: read.to,
        overwritten: read.overwritten,
    }
}

fn open_error(path: &Path, error: io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => Error::NotLoaded,
        Some(Errno::EACCES | Errno::EPERM) => Error::Permission,
        _ => Error::system(format!("opening {}", path.display()), error),
    }
}

/// Compares the module's versions with those that this controller was built with.
///
/// # Errors
/// [`Error::Version`] names both sides and what to reinstall.
pub fn check_version(version: &Version) -> Result<()> {
    let ours = Version::of_controller();
    let (ours, theirs) = ((ours.call, ours.record), (version.call, version.record));
    if ours == theirs {
        return Ok(());
    }
    let advice = if theirs < ours {
        "the module is older: run `diagnose-tools uninstall`, then `diagnose-tools install`"
    } else {
        "diagnose-tools is older: reinstall it in the module's version"
    };
    Err(Error::Version {
        module: version.name.clone(),
        module_call: theirs.0,
        module_record: theirs.1,
        advice,
    })
}

/// What `config` takes on this machine, in words.
fn memory_wanted(config: &abi::Config) -> String {
    let connections = match config.max_conns {
        0 => String::new(),
        most => format!(" and {most} connections"),
    };
    format!("{}{connections}", rings_wanted(config))
}

fn rings_wanted(config: &abi::Config) -> String {
    let (records, budget) = (config.ring_records, config.ring_budget);
    let bytes = |cpus| cpus * u64::from(records) * abi::RECORD_SIZE as u64;
    match (records, budget, online_cpus()) {
        (0, 0, _) => "rings for every CPU".into(),
        (0, budget, _) => format!("rings of {}", crate::fmt::size::mebibytes(budget)),
        (_, _, None) => format!("rings of {records} records for every CPU"),
        (_, _, Some(cpus)) => {
            let memory = crate::fmt::size::mebibytes(bytes(cpus));
            format!("{cpus} rings of {records} records ({memory})")
        }
    }
}

/// Counts `/sys/devices/system/cpu/online`, such as `0-3,8`.
fn online_cpus() -> Option<u64> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
    list.trim().split(',').try_fold(0, |sum, range| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (low, high): (u64, u64) = (low.parse().ok()?, high.parse().ok()?);
        Some(sum + high.checked_sub(low)? + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(call: u32, record: u32) -> Version {
        Version {
            name: "9.8".into(),
            call,
            record,
        }
    }

    #[test]
    fn a_mismatch_names_both_sides_and_the_way_out() {
        assert!(check_version(&version(6, 4)).is_ok());
        let newer = check_version(&version(6, 5)).unwrap_err().to_string();
        assert_eq!(
            newer,
            "version mismatch: the module 9.8 has call version 6 and record version 5, \
             diagnose-tools 0.1.0 has 6 and 4: diagnose-tools is older: reinstall it in the \
             module's version"
        );
        let older = check_version(&version(1, 7)).unwrap_err().to_string();
        assert!(older.contains("the module is older"), "{older}");
    }

    #[test]
    fn errors_of_open_say_what_to_do() {
        let path = Path::new("/dev/x");
        let text = |errno: Errno| open_error(path, errno.into()).to_string();
        assert_eq!(
            text(Errno::ENOENT),
            "the module is not loaded: run `diagnose-tools install`"
        );
        assert!(text(Errno::EACCES).starts_with("permission denied: run as root"));
        assert!(text(Errno::EMFILE).starts_with("opening /dev/x: "));
    }

    /// A call that finds so many elements at each try.
    fn growing(sizes: &[u32]) -> (std::result::Result<usize, Errno>, usize) {
        let mut tries = 0;
        let table = read_table::<PairBytes>(|table| {
            table.count = sizes[tries];
            tries += 1;
            match table.count <= table.capacity {
                true => Ok(0),
                false => Err(Errno::ENOSPC),
            }
        });
        (table.map(|t| t.len()), tries)
    }

    #[test]
    fn a_table_that_grows_while_it_is_read_is_asked_for_again() {
        assert_eq!(growing(&[0]), (Ok(0), 1));
        assert_eq!(growing(&[64]), (Ok(64), 1));
        assert_eq!(growing(&[65, 65]), (Ok(65), 2));
        assert_eq!(growing(&[65, 80, 80]), (Ok(80), 2));
        assert_eq!(growing(&[4096, 4600, 5000]), (Ok(4600), 2));
        assert_eq!(growing(&[4096, 9000, 9001]), (Ok(9001), 3));
        let doubling: Vec<_> = (0..TABLE_TRIES).map(|n| 100 << n).collect();
        assert_eq!(growing(&doubling), (Err(Errno::ENOSPC), 8));
        let failing = read_table::<PairBytes>(|_| Err(Errno::ENOLINK));
        assert_eq!(failing.err(), Some(Errno::ENOLINK));
    }

    #[test]
    fn another_device_is_refused() {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap();
        let device = Device {
            file,
            path: PathBuf::from("/dev/null"),
        };
        let text = device.version().unwrap_err().to_string();
        assert_eq!(
            text,
            "/dev/null is not the module's device: run `diagnose-tools install`"
        );
        assert!(device.transition_counts().is_err() && device.snapshot(true).is_err());
    }
}
