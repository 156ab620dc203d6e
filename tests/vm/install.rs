//! `install` and `uninstall` on a host where other users have left obstacles: sources, modules and
//! nodes that are not root's, or are out of date.
//!
//! Kernel headers with a Makefile of this test replace real ones: compilation takes minutes in an
//! emulated machine, and its result does not matter here.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diagnose_tools::abi;
use libtest_mimic::Trial;
use nix::libc::O_PATH;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::support::netns::Netns;
use crate::support::process::Process;
use crate::support::tool::{self, Outcome};
use crate::support::{device, guest, scenario, scenario_where};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario(
            "sources_that_others_could_write_are_not_built",
            shared_sources,
        ),
        scenario("a_build_has_an_environment_of_its_own", environment),
        scenario("nothing_is_built_in_a_folder_of_others", state_of_others),
        scenario("a_failed_build_leaves_no_module_to_load", failed_build),
        scenario("a_change_of_anything_builds_anew", changes),
        scenario("stale_modules_are_named_and_passed_over", stale_modules),
        scenario("packed_modules_are_loaded", packed),
        scenario_where(
            has_fuse,
            "uninstall_asks_no_file_of_others_what_it_is",
            dead_files,
        ),
        scenario("an_old_node_is_not_opened_and_replaced", old_node),
    ]
}

const NOBODY: u32 = 65534;
const TOP: &str = "/run/install-scenario";
const STATE: &str = "/var/lib/diagnose-tools";
const MODULES: &str = "/lib/modules";

/// A tool with its own sources, a kernel's module folder with headers, and an empty state folder:
/// they replace those of the machine until this is dropped.
struct Host {
    tree: PathBuf,
    kernel: PathBuf,
}

impl Host {
    fn new() -> Self {
        tool::unloaded();
        let _ = fs::remove_dir_all(TOP);
        let top = Path::new(TOP);
        let (tree, modules) = (top.join("tree"), top.join("modules"));
        let kernel = modules.join(tool::release());
        for folder in [
            tree.join("target/debug"),
            tree.join("kmod/probe"),
            tree.join("include"),
            kernel.join("build/include/generated"),
            kernel.join("build/include/linux"),
            kernel.join("updates/dkms"),
            kernel.join("extra"),
            STATE.into(),
        ] {
            fs::create_dir_all(folder).expect("a folder");
        }
        write(&tree.join("kmod/Kbuild"), "obj-m := tcpstates.o");
        write(&tree.join("kmod/a.c"), "int a;");
        write(&tree.join("kmod/probe/b.c"), "int b;");
        write(&tree.join("include/c.h"), "int c;");
        fs::copy(tool::PROGRAM, tree.join("target/debug/diagnose-tools")).expect("a copy");
        fs::copy(tool::module(), top.join("good.ko")).expect("a copy");
        write(
            &kernel.join("build/Makefile"),
            &format!(
                "modules:\n\t@echo made >>{TOP}/log\n\t@env >{TOP}/env\n\t@touch $(M)/touched\n\
                 \t@echo 'cmd_a.o := gcc -c a.c' >$(M)/.a.o.cmd\n\
                 \t@echo 'deps_a.o := include/linux/tcp.h' >>$(M)/.a.o.cmd\n\
                 \t@test ! -e {TOP}/broken\n\t@cp {TOP}/good.ko $(M)/tcpstates.ko\n"
            ),
        );
        write(
            &kernel.join("build/include/linux/tcp.h"),
            "struct tcp_sock;",
        );
        write(&kernel.join("build/Module.symvers"), "0x1 tcp_close");
        bind(&modules, Path::new(MODULES));
        mount(
            Some("state"),
            STATE,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("mode=0755"),
        )
        .expect("a mount");
        Self { tree, kernel }
    }

    fn program(&self) -> PathBuf {
        self.tree.join("target/debug/diagnose-tools")
    }

    fn command(&self) -> Command {
        let mut command = tool::command_of(&self.program(), &["install"]);
        command.env_remove("DIAGNOSE_TOOLS_MODULES");
        command
    }

    fn install(&self) -> Outcome {
        tool::outcome(self.command())
    }

    /// Asserts that it fails with one line that contains all these texts.
    fn assert_refused(&self, said: &[&str]) {
        let outcome = self.install();
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (1, ""),
            "{outcome:?}"
        );
        let last = outcome.stderr.lines().last().unwrap_or_default();
        let is_progress =
            |l: &&str| l.contains("building the module for kernel") && l.contains('…');
        let errors = outcome.stderr.lines().filter(|l| !is_progress(l)).count();
        assert_eq!(errors, 1, "{outcome:?}");
        for text in said {
            assert!(last.contains(text), "no {text}: {outcome:?}");
        }
        assert!(!is_loaded(), "{outcome:?}");
    }

    fn assert_installed(&self, from: &Path) {
        let outcome = self.install();
        assert_eq!(outcome.status, 0, "{outcome:?}");
        let expected = format!("installed: module 0.1.0 from {}\n", from.display());
        assert_eq!(outcome.stdout, expected, "{outcome:?}");
        tool::unloaded();
    }

    /// Path of a module that was built.
    fn built(&self) -> PathBuf {
        self.build().join("kmod/tcpstates.ko")
    }

    fn build(&self) -> PathBuf {
        Path::new(STATE).join(tool::release()).join("build")
    }

    /// How often make has run.
    fn made(&self) -> usize {
        let log = fs::read_to_string(Path::new(TOP).join("log"));
        log.unwrap_or_default().lines().count()
    }

    fn assert_builds(&self, why: &str) {
        let before = self.made();
        self.assert_installed(&self.built());
        assert_eq!(self.made(), before + 1, "{why}");
        self.assert_kept();
    }

    fn assert_kept(&self) {
        let before = self.made();
        self.assert_installed(&self.built());
        assert_eq!(self.made(), before, "nothing has changed");
    }

    /// A module in the kernel's module folder.
    fn standard(&self, name: &str) -> PathBuf {
        Path::new(MODULES).join(tool::release()).join(name)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for path in [STATE, MODULES] {
            // The effect on the next scenario would be worse than a failure here.
            umount2(path, MntFlags::MNT_DETACH).expect("it is mounted");
        }
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    chmod(path, 0o644);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

fn give(path: &Path, uid: u32) {
    chown(path, Some(uid), Some(uid)).expect("chown");
}

fn bind(from: &Path, to: &Path) {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("a mount");
}

fn is_loaded() -> bool {
    Path::new("/sys/module/tcpstates").exists()
}

/// Each file, each folder, and all their parent folders.
fn shared_sources() {
    let host = Host::new();
    let top = Path::new(TOP);
    for (path, mode) in [
        (top.to_owned(), 0o777),
        (host.tree.clone(), 0o1777),
        (host.tree.clone(), 0o775),
        (host.tree.join("kmod"), 0o757),
        (host.tree.join("kmod/probe"), 0o777),
        (host.tree.join("kmod/probe/b.c"), 0o666),
        (host.tree.join("include/c.h"), 0o664),
    ] {
        let before = fs::metadata(&path).expect("it is there").mode() & 0o7777;
        chmod(&path, mode);
        let name = path.to_str().expect("ASCII");
        host.assert_refused(&["building the module", name, &format!("mode {mode:04o}")]);
        chmod(&path, before);
        give(&path, NOBODY);
        host.assert_refused(&[name, "belongs to uid 65534"]);
        give(&path, 0);
    }
    links(&host);
    beside(&host);
    assert_eq!(host.made(), 0, "nothing of it was run");

    // The owner of the program may own its source tree.
    for path in [
        host.program(),
        host.tree.join("kmod"),
        host.tree.join("kmod/a.c"),
    ] {
        give(&path, NOBODY);
    }
    host.assert_builds("all is root's, or the program's owner's");
}

/// Links to files of other users, or in folders that others may write.
fn links(host: &Host) {
    let top = Path::new(TOP);
    let (kmod, kept) = (host.tree.join("kmod"), top.join("kept"));
    let theirs = top.join("theirs");
    fs::create_dir(&theirs).expect("a folder");
    give(&theirs, NOBODY);
    fs::rename(&kmod, &kept).expect("a folder");
    fs::create_dir(theirs.join("kmod")).expect("a folder");
    symlink(theirs.join("kmod"), &kmod).expect("a link");
    host.assert_refused(&[theirs.to_str().expect("ASCII"), "belongs to uid 65534"]);
    fs::remove_file(&kmod).expect("a link");

    // Through a link in a folder of another user to a file of root.
    symlink(&kept, theirs.join("link")).expect("a link");
    symlink(theirs.join("link"), &kmod).expect("a link");
    host.assert_refused(&[theirs.to_str().expect("ASCII"), "belongs to uid 65534"]);
    fs::remove_file(&kmod).expect("a link");

    fs::rename(&kept, &kmod).expect("a folder");
    let file = kmod.join("link.c");
    symlink("a.c", &file).expect("a link");
    host.assert_refused(&["link.c is not a regular file"]);
    fs::remove_file(&file).expect("a link");
}

/// The program is installed in a folder below one that everybody may write.
fn beside(host: &Host) {
    let shared = Path::new(TOP).join("shared");
    let sources = shared.join("share/diagnose-tools");
    fs::create_dir_all(shared.join("bin")).expect("a folder");
    let program = shared.join("bin/diagnose-tools");
    fs::copy(tool::PROGRAM, &program).expect("a copy");
    for folder in ["kmod", "include"] {
        fs::create_dir_all(sources.join(folder)).expect("a folder");
    }
    chmod(&shared, 0o1777);
    give(&shared.join("share"), NOBODY);
    let mut install = tool::command_of(&program, &["install"]);
    install.env_remove("DIAGNOSE_TOOLS_MODULES");
    let outcome = tool::outcome(install);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("sticky"), "{outcome:?}");
    assert_eq!(host.made(), 0, "nothing of it was run");
}

/// Programs, variables and the umask of the caller have no effect.
fn environment() {
    let host = Host::new();
    let folder = Path::new(TOP).join("programs");
    fs::create_dir(&folder).expect("a folder");
    for name in ["make", "gcc", "env", "touch", "cp"] {
        let text = format!("#!/bin/sh\necho {name} >>{TOP}/strange\n");
        write(&folder.join(name), &text);
        chmod(&folder.join(name), 0o755);
    }
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "umask 0 && exec \"$0\" install"])
        .arg(host.program());
    shell
        .env("PATH", &folder)
        .env("MAKEFLAGS", "STRANGE=1")
        .env("KCFLAGS", "-DSTRANGE");
    shell.env_remove("DIAGNOSE_TOOLS_MODULES");
    let outcome = tool::outcome(shell);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(
        !Path::new(TOP).join("strange").exists(),
        "only root's programs are run"
    );
    let variables = fs::read_to_string(Path::new(TOP).join("env")).expect("make has run");
    assert!(!variables.contains("STRANGE"), "{variables}");
    let path = variables.lines().find(|l| l.starts_with("PATH="));
    assert_eq!(path, Some("PATH=/usr/sbin:/usr/bin:/sbin:/bin"));
    assert_not_shared(Path::new(STATE));
    tool::unloaded();
}

fn assert_not_shared(path: &Path) {
    let data = fs::symlink_metadata(path).expect("it is there");
    assert_eq!(data.mode() & 0o022, 0, "{}", path.display());
    if data.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            assert_not_shared(&entry.expect("an entry").path());
        }
    }
}

/// Files in a folder of another user are neither trusted nor written.
fn state_of_others() {
    let host = Host::new();
    let state = Path::new(STATE);
    for folder in [state.to_owned(), state.join(tool::release())] {
        let name = folder.to_str().expect("ASCII");
        fs::create_dir_all(&folder).expect("a folder");
        give(&folder, NOBODY);
        host.assert_refused(&["building in", name, "belongs to uid 65534, and only root"]);
        give(&folder, 0);
        chmod(&folder, 0o777);
        host.assert_refused(&["building in", name, "chmod go-w"]);
        chmod(&folder, 0o755);
    }
    assert_eq!(host.made(), 0);
    host.assert_builds("the folder is root's again");

    // Somebody could have changed or added files there.
    let changed = host.build().join("kmod/a.c");
    write(&changed, "int strange;");
    write(&host.build().join("kmod/strange.c"), "int strange;");
    for (path, mode) in [
        (host.build(), 0o777),
        (host.build().join("kmod"), 0o777),
        (host.built(), 0o666),
        (host.build().join("stamp"), 0o666),
    ] {
        chmod(&path, mode);
        host.assert_builds("others may write it");
        assert_not_shared(state);
    }
    assert_eq!(fs::read(&changed).expect("a copy"), b"int a;");
    assert!(!host.build().join("kmod/strange.c").exists());
}

fn failed_build() {
    let host = Host::new();
    host.assert_builds("there is none");
    let broken = Path::new(TOP).join("broken");
    write(&broken, "");
    write(&host.tree.join("kmod/a.c"), "int changed;");
    for _ in 0..2 {
        host.assert_refused(&["building the module", "failed", "build.log"]);
        assert!(!host.built().exists(), "the old module is gone");
    }
    // Not even with the previous sources.
    write(&host.tree.join("kmod/a.c"), "int a;");
    host.assert_refused(&["failed"]);
    fs::remove_file(&broken).expect("a file");
    host.assert_builds("the last build has failed");
}

fn changes() {
    let host = Host::new();
    host.assert_builds("there is none");
    write(&host.tree.join("include/c.h"), "int changed;");
    host.assert_builds("a source has changed");
    write(&host.tree.join("kmod/new.c"), "int new;");
    host.assert_builds("a source has come");
    fs::remove_file(host.tree.join("kmod/new.c")).expect("a file");
    host.assert_builds("a source has gone");
    write(&host.kernel.join("build/Module.symvers"), "0x2 tcp_close");
    host.assert_builds("the kernel's symbols have changed");
    let headers = host.kernel.join("build/include");
    write(&headers.join("linux/tcp.h"), "struct tcp_sock { };");
    host.assert_builds("a header has changed that was read");
    write(
        &headers.join("generated/autoconf.h"),
        "#define CONFIG_SMP 1",
    );
    host.assert_builds("the kernel's configuration has changed");
    write(&host.built(), "");
    host.assert_builds("the module was lost in a crash");

    let compiler = fs::canonicalize("/usr/bin/gcc").expect("a compiler");
    let other = Path::new(TOP).join("gcc");
    write(&other, "#!/bin/sh\necho gcc of another version\n");
    chmod(&other, 0o755);
    bind(&other, &compiler);
    let before = host.made();
    let outcome = host.install();
    umount2(&compiler, MntFlags::MNT_DETACH).expect("it is mounted");
    assert_eq!(
        (outcome.status, host.made()),
        (0, before + 1),
        "{outcome:?}"
    );
    tool::unloaded();
    host.assert_builds("the compiler has changed back");
}

fn stale_modules() {
    let host = Host::new();
    let other = guest::other_modules()
        .join(tool::release())
        .join("tcpstates.ko");
    let kernel = host.kernel.clone();
    write(&kernel.join("updates/tcpstates.ko"), "this is no module");
    fs::copy(&other, kernel.join("updates/dkms/tcpstates.ko")).expect("a copy");
    fs::copy(tool::module(), kernel.join("extra/tcpstates.ko")).expect("a copy");
    let refused = [
        format!(
            "loading {}",
            host.standard("updates/tcpstates.ko").display()
        ),
        format!(
            "{} has call version 99 and record version {}",
            host.standard("updates/dkms/tcpstates.ko").display(),
            abi::TCPSTATES_RECORD_VERSION
        ),
    ];
    let outcome = host.install();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let from = host.standard("extra/tcpstates.ko");
    assert_eq!(
        outcome.stdout,
        format!("installed: module 0.1.0 from {}\n", from.display())
    );
    let lines: Vec<_> = outcome.stderr.lines().collect();
    assert_eq!(lines.len(), refused.len(), "{outcome:?}");
    for (line, text) in lines.iter().zip(&refused) {
        let expected = format!("diagnose-tools: warning: {text}");
        assert!(line.starts_with(&expected), "no {expected}: {line}");
    }
    assert!(
        tool::tcpstates(&["--settings"]).contains("not active"),
        "it can be used"
    );
    tool::unloaded();

    // A file that others could have written is not a module of root.
    chmod(&kernel.join("extra/tcpstates.ko"), 0o666);
    let outcome = host.install();
    assert_eq!(
        (outcome.status, host.made()),
        (0, 1),
        "it is built: {outcome:?}"
    );
    let extra = format!(
        "the module is not loaded: users other than its owner may write {}",
        from.display()
    );
    assert!(outcome.stderr.contains(&extra), "{outcome:?}");
    assert!(outcome.stdout.contains(STATE), "{outcome:?}");
    tool::unloaded();

    fs::remove_file(kernel.join("build/Makefile")).expect("a file");
    host.assert_refused(&[
        &refused[0],
        &refused[1],
        &extra,
        "install the headers first",
    ]);
}

fn packed() {
    let host = Host::new();
    let good = Path::new(TOP).join("good.ko");
    for (words, suffix) in [
        (&["xz", "-c", "-1"][..], "xz"),
        (&["xz", "-c", "-1", "--check=crc32"], "xz"),
        (&["zstd", "-cq"], "zst"),
        (&["gzip", "-cn"], "gz"),
    ] {
        let path = host.kernel.join(format!("extra/tcpstates.ko.{suffix}"));
        let mut pack = Command::new(words[0]);
        pack.args(&words[1..])
            .stdin(File::open(&good).expect("a module"));
        pack.stdout(File::create(&path).expect("a file"));
        assert!(
            pack.status().expect("it is installed").success(),
            "{words:?}"
        );
        // The command has the file open for writing: kernels that unpack it themselves refuse that.
        drop(pack);
        host.assert_installed(&host.standard(&format!("extra/tcpstates.ko.{suffix}")));
        fs::remove_file(path).expect("a file");
    }
    assert_eq!(host.made(), 0, "none had to be built");
    fs::remove_file(host.kernel.join("build/Makefile")).expect("a file");
    write(
        &host.kernel.join("extra/tcpstates.ko.gz"),
        "this is no archive",
    );
    host.assert_refused(&[
        "extra/tcpstates.ko.gz with gzip",
        "install the headers first",
    ]);
}

fn has_fuse() -> bool {
    let mut load = Command::new("modprobe");
    load.arg("fuse").stderr(Stdio::null());
    let _ = load.status();
    fs::read_to_string("/proc/filesystems").is_ok_and(|text| text.contains("\tfuse\n"))
}

/// A file system whose server does not answer, and a process that holds a file of it: only its name
/// is known.
fn dead_files() {
    tool::fresh();
    let folder = Path::new("/run/dead-files");
    fs::create_dir_all(folder).expect("a folder");
    let server = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .expect("/dev/fuse");
    let data = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
        server.as_raw_fd()
    );
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("dead"),
        folder,
        Some("fuse"),
        flags,
        Some(data.as_str()),
    )
    .expect("a mount");
    let holder = Process::start(&Netns::new("dead"), |mut line| {
        let _held = OpenOptions::new()
            .read(true)
            .custom_flags(O_PATH)
            .open(folder);
        line.tell(&[]);
        line.hear();
    });
    let mut holder = holder;
    holder.line.hear();

    let held = device::open();
    let mut uninstall = tool::command(&["uninstall"]);
    let child = uninstall
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("the program starts");
    let deadline = Instant::now() + guest::patience(30);
    while child.try_wait().expect("a child").is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    let hangs = child.try_wait().expect("a child").is_none();
    // A process that waits for an answer gets an error instead.
    umount2(folder, MntFlags::MNT_DETACH).expect("it is mounted");
    drop(server);
    holder.kill();
    let output = child.wait_with_output().expect("a child");
    assert!(!hangs, "it waits for a file of others");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        text.contains(&format!("in use by {} (", std::process::id())),
        "{text}"
    );
    drop(held);
    tool::unloaded();
}

/// A node that was left where no devtmpfs removes it, while its number was given to another device.
fn old_node() {
    tool::unloaded();
    let path = device::path();
    let path = Path::new(&path);
    let listed = fs::read_to_string("/proc/misc").expect("/proc/misc");
    let other = listed
        .split_whitespace()
        .next()
        .expect("there are misc devices");
    let other = makedev(10, other.parse().expect("a number"));
    let make = || {
        let _ = fs::remove_file(path);
        mknod(path, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, other).expect("mknod");
    };
    make();
    let outcome = tool::run(&["tcpstates", "--settings"]);
    let not_loaded = "diagnose-tools: the module is not loaded: run `diagnose-tools install`\n";
    assert_eq!((outcome.status, outcome.stderr.as_str()), (1, not_loaded));

    let outcome = tool::run(&["install"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let node = fs::metadata(path).expect("a node");
    assert_ne!(node.rdev(), other, "it was replaced");
    assert_eq!((node.mode() & 0o777, node.uid()), (0o600, 0));
    assert!(
        tool::tcpstates(&["--settings"]).contains("not active"),
        "it can be used"
    );

    // While the module is loaded, too.
    make();
    let outcome = tool::run(&["tcpstates", "--settings"]);
    let message = format!(
        "diagnose-tools: {} is not the module's device: run `diagnose-tools install`\n",
        path.display()
    );
    assert_eq!((outcome.status, outcome.stderr), (1, message));
    assert_eq!(tool::run(&["install"]).status, 0);
    assert_eq!(fs::metadata(path).expect("a node").rdev(), node.rdev());

    // A node that root has not made, or a file that is no node, stays.
    make();
    give(path, NOBODY);
    let outcome = tool::run(&["install"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("remove it"), "{outcome:?}");
    assert_eq!(fs::metadata(path).expect("a node").rdev(), other);
    fs::remove_file(path).expect("a node");
    write(path, "data");
    assert_eq!(tool::run(&["install"]).status, 1);
    assert_eq!(fs::read(path).expect("a file"), b"data");
    fs::remove_file(path).expect("a file");
    assert_eq!(tool::run(&["install"]).status, 0);
    tool::unloaded();
    // The kernel does not remove this test's own node.
    let _ = fs::remove_file(path);
}
