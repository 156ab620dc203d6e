//! Every operation that can fail is made to fail once, one after the other: each time a clean
//! error, nothing left behind, and the next try works.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::mem;
use std::net::TcpStream;
use std::path::Path;

use diagnose_tools::abi::{
    self, Activate, Config, RawConn, RawListener, RawPair, RingState, Snapshot, Stats, Table,
    Version, call,
};
use libtest_mimic::Trial;
use nix::errno::Errno;
use nix::kmod::{self, DeleteModuleFlags, ModuleInitFlags};

use crate::support::device::{self, Mapping};
use crate::support::faults::{self, NoGrowth, Places};
use crate::support::random::{self, Random};
use crate::support::{is_long, is_quick, memory, scenario, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("each_fault_of_a_load_leaves_nothing_behind", loads),
        scenario("each_fault_of_an_activation_is_rolled_back", activations),
        scenario("a_fault_while_sockets_are_found_is_counted", seeding),
        scenario("each_fault_of_a_call_is_a_clean_error", calls),
        scenario("no_fault_keeps_a_recording_from_its_end", deactivations),
        scenario("faults_of_growth_are_counted_until_they_end", growth),
    ]
}

/// The operations that are made to fail where there are many: in the long run all, otherwise every
/// n-th one, from a random start.
fn places(short: usize) -> Places {
    let step = match (is_long(), is_quick()) {
        (true, _) => 1,
        (_, true) => short * 12,
        _ => short,
    };
    let before = Random::of(random::seed(), 0).below(step as u64);
    Places::new(1 + before as u32, step)
}

fn module_file() -> File {
    File::open(tool::module()).expect("the module")
}

fn load(file: &File) -> nix::Result<()> {
    kmod::finit_module(file, c"", ModuleInitFlags::empty())
}

fn unload() {
    kmod::delete_module(c"tcpstates", DeleteModuleFlags::O_NONBLOCK).expect("nobody uses it");
}

fn is_loaded() -> bool {
    let modules = fs::read_to_string("/proc/modules").expect("/proc/modules");
    modules.lines().any(|line| line.starts_with("tcpstates "))
}

/// The kernel also makes allocations that it can do without.
fn loads() {
    tool::unloaded();
    faults::prepare();
    let file = module_file();
    let mut refused = 0;
    let faults = faults::at(
        places(5),
        || load(&file),
        |nth, loaded| {
            match loaded {
                Ok(()) => unload(),
                Err(Errno::ENOMEM) => refused += 1,
                Err(error) => panic!("place {nth}: {error}"),
            }
            assert!(!is_loaded(), "place {nth}");
            assert!(!Path::new(&device::path()).exists(), "place {nth}");
        },
    );
    println!("load: {faults} faults, {refused} refusals");
    assert!(
        faults > 0 && (refused > 0 || is_quick()),
        "{refused} of {faults}"
    );
    // The last try reached no such operation: the module is loaded.
    assert!(is_loaded());
    tool::activate("");
    tool::tcpstates(&["--deactivate"]);
}

/// As small as an activation can be: many nodes would mean many allocations.
fn small(hook: u32) -> Activate {
    // SAFETY: integers and byte arrays: all zero is a value of it.
    #[allow(unsafe_code, reason = "a structure of the module's interface")]
    let mut activate: Activate = unsafe { mem::zeroed() };
    activate.config = Config {
        hook,
        ring_records: 64,
        max_conns: 16,
        max_pairs: 16,
        max_listeners: 16,
        ..activate.config
    };
    activate
}

fn try_to_activate(device: &File, config: &Activate) -> io::Result<i32> {
    let mut config = *config;
    device::call(device, u64::from(call::ACTIVATE), &mut config)
}

fn try_to_deactivate(device: &File) -> io::Result<i32> {
    device::call(device, u64::from(call::DEACTIVATE), &mut [0_u8; 0])
}

const KPROBES: &str = "/sys/kernel/debug/kprobes/list";
const FUNCTIONS: &str = "/sys/kernel/tracing/enabled_functions";

fn list(path: &str) -> String {
    fs::read_to_string(path).expect("a list of the kernel")
}

/// Asserts that nothing records, nothing is hooked, and no memory is held.
fn assert_rolled_back(device: &File, what: &str) {
    assert_eq!(list(KPROBES), "", "{what}");
    assert_eq!(list(FUNCTIONS), "", "{what}");
    assert_not_recording(device, what);
}

fn assert_not_recording(device: &File, what: &str) {
    assert_eq!(device::settings(device).active, 0, "{what}");
    assert_eq!(memory::vmalloc_areas(), Vec::<String>::new(), "{what}");
}

fn is_out_of_memory(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOMEM)
}

fn activations() {
    tool::fresh();
    faults::prepare();
    let device = device::open();
    for (name, hook, short) in [
        ("tracepoint", abi::TCPSTATES_HOOK_TRACEPOINT, 7),
        ("kprobe", abi::TCPSTATES_HOOK_KPROBE, 11),
    ] {
        let config = small(hook);
        try_to_activate(&device, &config).expect("an activation without a fault");
        let hooks = attached(&device);
        try_to_deactivate(&device).expect("it is active");
        let mut refused = 0;
        let faults = faults::at(
            places(short),
            || try_to_activate(&device, &config),
            |nth, activated| {
                let what = format!("{name}, place {nth}");
                match activated {
                    // The failed operation was not needed: no hook may be missing because of it.
                    Ok(_) => {
                        assert_eq!(attached(&device), hooks, "{what}");
                        try_to_deactivate(&device).expect("it is active");
                    }
                    Err(error) if is_out_of_memory(&error) => refused += 1,
                    Err(error) => panic!("{what}: {error}"),
                }
                assert_rolled_back(&device, &what);
            },
        );
        println!("activation by {name}: {faults} faults, {refused} refusals");
        assert!(refused > 0, "{refused} of {faults}");
        try_to_deactivate(&device).expect("the last one found no such place");
    }
    // A new recording works.
    tool::activate("");
    traffic::client_first(&traffic::listen(traffic::V4));
    assert_eq!(tool::report("transitions=1").transitions.len(), 12);
    tool::tcpstates(&["--deactivate"]);
}

/// The hooks of a recording: the name of each, and how it is attached.
fn attached(device: &File) -> Vec<(String, u32)> {
    let mut hooks = [abi::Hook::default(); 64];
    let count = table(device, call::GET_HOOKS, &mut hooks).expect("hooks");
    let symbol = |hook: &abi::Hook| String::from_utf8_lossy(&hook.symbol).into_owned();
    let hooks = hooks[..count].iter();
    hooks.map(|hook| (symbol(hook), hook.flags)).collect()
}

/// A call that fills a table; returns the number of elements.
fn table<T>(device: &File, request: u32, elements: &mut [T]) -> io::Result<usize> {
    let mut table = Table {
        entries: elements.as_mut_ptr().addr() as u64,
        capacity: elements.len() as u32,
        count: 0,
    };
    device::call(device, u64::from(request), &mut table)?;
    Ok(table.count as usize)
}

/// More sockets than preallocated nodes: each one is in the table, or counted as untracked.
fn seeding() {
    const PAIRS: usize = 500;
    tool::fresh();
    faults::prepare();
    let device = device::open();
    let mut config = small(abi::TCPSTATES_HOOK_TRACEPOINT);
    config.config.max_conns = 4096;
    config.config.max_pairs = 4096;
    config.config.max_listeners = 4096;
    let fault = faults::Fault::of_this_thread();
    let before = places_of(&fault, &device, &config);
    let listener = traffic::listen(traffic::V4);
    let held: Vec<(TcpStream, TcpStream)> = (0..PAIRS).map(|_| traffic::pair(&listener)).collect();
    let (mut untracked, mut found_without) = (0, 0);
    let faults = faults::at(
        places(3).after(before),
        || try_to_activate(&device, &config),
        |nth, activated| {
            match activated {
                Ok(_) => found_without += 1,
                // One operation more than the last time, before the search for sockets.
                Err(error) if is_out_of_memory(&error) => return,
                Err(error) => panic!("place {nth}: {error}"),
            }
            let report = tool::report("connections=1 transitions=0");
            let found = report.connections.len() as u64;
            untracked += report.number("/untracked");
            assert_eq!(
                found + report.number("/untracked"),
                ss::everywhere() as u64,
                "place {nth}"
            );
            try_to_deactivate(&device).expect("it is active");
        },
    );
    println!("seeding: {faults} faults behind place {before}, {untracked} connections not kept");
    assert!(
        found_without > 0,
        "no place after the {before} of an activation"
    );
    try_to_deactivate(&device).expect("the last one found no such place");
    drop(held);
}

/// Number of operations in an activation that can fail.
fn places_of(fault: &faults::Fault, device: &File, config: &Activate) -> u32 {
    const MANY: u32 = 1 << 30;
    let (mut low, mut high) = (0, 1);
    let is_place = |nth| {
        let outcome = fault.at(nth, || try_to_activate(device, config));
        // Whether the activation succeeded or not.
        let _ = try_to_deactivate(device);
        outcome.is_some()
    };
    while is_place(high) {
        (low, high) = (high, high * 2);
        assert!(high < MANY);
    }
    while high - low > 1 {
        let middle = low.midpoint(high);
        if is_place(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// A call of the device.
type Ask<'a> = Box<dyn Fn() -> io::Result<()> + 'a>;

fn one<'a, T: 'a>(device: &'a File, request: u32) -> Ask<'a> {
    Box::new(move || {
        // SAFETY: integers and byte arrays: all zero is a value of each of them.
        #[allow(unsafe_code, reason = "structures of the module's interface")]
        let mut value: Box<T> = Box::new(unsafe { mem::zeroed() });
        device::call(device, u64::from(request), value.as_mut()).map(drop)
    })
}

const ROOM: usize = 256;

/// Memory for elements, allocated beforehand: only the kernel's allocations are to fail in the
/// call.
fn room<T>() -> Vec<u64> {
    vec![u64::MAX; ROOM * size_of::<T>().div_ceil(8)]
}

fn many<'a, T: 'a>(device: &'a File, request: u32) -> Ask<'a> {
    let elements = RefCell::new(room::<T>());
    Box::new(move || {
        let mut table = Table {
            entries: elements.borrow_mut().as_mut_ptr().addr() as u64,
            capacity: ROOM as u32,
            count: 0,
        };
        device::call(device, u64::from(request), &mut table).map(drop)
    })
}

fn snapshot(device: &File) -> Ask<'_> {
    let elements = RefCell::new(room::<RawConn>());
    Box::new(move || {
        let mut snapshot = Snapshot {
            entries: elements.borrow_mut().as_mut_ptr().addr() as u64,
            capacity: ROOM as u32,
            count: 0,
            restart: 1,
            reserved: 0,
        };
        device::call(device, u64::from(call::SNAPSHOT), &mut snapshot).map(drop)
    })
}

/// Consumes nothing: the positions stay where they are.
fn consume(device: &File, generation: u64) -> io::Result<()> {
    let mut rings = [RingState::default(); 8];
    let count = table(device, call::GET_RINGS, &mut rings)?;
    let mut entries: Vec<abi::Consumed> = rings[..count]
        .iter()
        .map(|ring| abi::Consumed {
            cpu: ring.cpu,
            from: ring.consumed,
            to: ring.consumed,
            ..abi::Consumed::default()
        })
        .collect();
    let mut consume = abi::Consume {
        generation,
        entries: entries.as_mut_ptr().addr() as u64,
        count: count as u32,
        ..abi::Consume::default()
    };
    device::call(device, u64::from(call::CONSUME), &mut consume).map(drop)
}

/// Mappings are kept: unmapping can fail, too.
fn map(device: &File, len: usize) -> Ask<'_> {
    let kept = RefCell::new(Vec::with_capacity(1000));
    Box::new(move || {
        let mapping = Mapping::new(device, len, libc::PROT_READ, libc::MAP_SHARED, 0)?;
        mapping.bytes();
        kept.borrow_mut().push(mapping);
        Ok(())
    })
}

fn calls() {
    tool::activate("ring=64 max-conns=4096");
    faults::prepare();
    let listener = traffic::listen(traffic::V4);
    let _held = traffic::pair(&listener);
    let device = device::open();
    let settings = device::settings(&device);
    let bytes = settings.ring_bytes as usize;
    let asked: Vec<(&str, Ask)> = vec![
        ("open", Box::new(|| File::open(device::path()).map(drop))),
        ("mmap", map(&device, bytes)),
        ("version", one::<Version>(&device, call::GET_VERSION)),
        (
            "settings",
            one::<abi::Settings>(&device, call::GET_SETTINGS),
        ),
        ("stats", one::<Stats>(&device, call::GET_STATS)),
        ("seen", one::<u64>(&device, call::SEEN)),
        (
            "transition_counts",
            many::<abi::TransitionCount>(&device, call::GET_TRANSITION_COUNTS),
        ),
        ("rings", many::<RingState>(&device, call::GET_RINGS)),
        ("hooks", many::<abi::Hook>(&device, call::GET_HOOKS)),
        (
            "listeners",
            many::<RawListener>(&device, call::GET_LISTENERS),
        ),
        ("pairs", many::<RawPair>(&device, call::GET_PAIRS)),
        ("lives", one::<abi::Lives>(&device, call::GET_LIVES)),
        ("cgroups", many::<abi::Cgroup>(&device, call::GET_CGROUPS)),
        (
            "clocks",
            many::<abi::ClockChange>(&device, call::GET_CLOCKS),
        ),
        ("snapshot", snapshot(&device)),
        (
            "consume",
            Box::new(|| consume(&device, settings.generation)),
        ),
    ];
    for (name, ask) in &asked {
        ask().unwrap_or_else(|e| panic!("{name} without a fault: {e}"));
        let mut refused = 0;
        let faults = faults::at(Places::ALL, ask, |nth, answer| match answer {
            Ok(()) => {}
            Err(error) if is_out_of_memory(&error) => refused += 1,
            Err(error) => panic!("{name}, place {nth}: {error}"),
        });
        println!("{name}: {faults} faults, {refused} refusals");
    }
    let report = tool::report("connections=1");
    assert_eq!(report.connections.len(), ss::everywhere());
    report.assert_totals_balance();
    tool::end();
}

/// Asserts that nothing is still hooked, except kprobes that the kernel has not released, and which
/// have no address any more. They remain, because their memory is not reused. Returns their number.
fn assert_unhooked(before: usize) -> usize {
    let text = list(KPROBES);
    for line in text.lines() {
        assert_eq!(
            line.split_whitespace().next(),
            Some("0000000000000000"),
            "{text}"
        );
        assert!(line.ends_with("[FTRACE]"), "{text}");
    }
    let stuck = text.lines().count();
    assert!(stuck >= before, "{stuck} of {before} stuck kprobes: {text}");
    stuck
}

/// A deactivation must not fail for lack of memory.
fn deactivations() {
    tool::fresh();
    faults::prepare();
    faults::expect_warning("Failed to disarm kprobe-ftrace");
    let device = device::open();
    let mut stuck = 0;
    for (name, hook) in [
        ("tracepoint", abi::TCPSTATES_HOOK_TRACEPOINT),
        ("kprobe", abi::TCPSTATES_HOOK_KPROBE),
    ] {
        let config = small(hook);
        let activate = || try_to_activate(&device, &config).expect("an activation without a fault");
        activate();
        let faults = faults::at(
            places(1),
            || try_to_deactivate(&device),
            |nth, ended| {
                let what = format!("{name}, place {nth}");
                ended.unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_not_recording(&device, &what);
                stuck = assert_unhooked(stuck);
                activate();
            },
        );
        assert_not_recording(&device, name);
        stuck = assert_unhooked(stuck);
        println!("deactivation by {name}: {faults} faults, {stuck} kprobes stuck by now");
    }
}

/// Nodes and pairs beyond the reserve are allocated by a worker: connections that find none are
/// counted, and once there is memory again none is counted.
fn growth() {
    const PAIRS: usize = 300;
    tool::activate("ring=4096 max-conns=8192");
    let listener = traffic::listen(traffic::V4);
    let no_growth = NoGrowth::begin();
    let held: Vec<_> = (0..PAIRS).map(|_| traffic::pair(&listener)).collect();
    let report = tool::report("connections=1");
    let untracked = report.number("/untracked");
    assert!(untracked > 0, "{}", report.summary);
    report.assert_totals_balance();
    // A connection without a node at its SYN may get one at a later step, from another CPU's
    // reserve.
    let told = report.connections.len() as u64 + untracked;
    let late = told.checked_sub(ss::everywhere() as u64);
    let unmatched = report.number("/unmatched");
    assert!(
        late.is_some_and(|n| n <= unmatched),
        "{told}: {}",
        report.summary
    );
    drop(no_growth);
    // The next connection without a node wakes the worker.
    let _more: Vec<_> = (0..PAIRS)
        .map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(2));
            traffic::pair(&listener)
        })
        .collect();
    let before = tool::report("").number("/untracked");
    let _last: Vec<_> = (0..20).map(|_| traffic::pair(&listener)).collect();
    let report = tool::report("");
    assert_eq!(report.number("/untracked"), before, "{}", report.summary);
    report.assert_totals_balance();
    drop(held);
    tool::tcpstates(&["--deactivate"]);
}
