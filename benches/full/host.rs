//! The host's side: boots the machines, collects their measurements, and prints them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};

use crate::decode;
use crate::figure::{self, Figure};
use crate::plot;
use crate::recording::{FLOOR, MAIN_HOOK};
use crate::results::{Made, Results};
use crate::support::guest;
use crate::table;
use crate::{KERNEL, Part};

/// What was requested.
struct Wanted {
    parts: Vec<String>,
    publish: bool,
}

fn wanted(parts: &[Part]) -> Result<Wanted, String> {
    // `cargo bench` passes it.
    let all: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    let (options, mut names): (Vec<_>, Vec<_>) = all.into_iter().partition(|a| a.starts_with("--"));
    let known: Vec<&str> = parts.iter().map(|p| p.name).chain([decode::PART]).collect();
    let unknown = |name: &&String| !known.contains(&name.as_str());
    if let Some(name) = names.iter().find(unknown) {
        return Err(format!("no part '{name}'; there are: {}", known.join(", ")));
    }
    let publish = options.iter().any(|o| o == "--publish");
    let known_option = |o: &String| o == "--publish" || o.starts_with("--cases=");
    if let Some(option) = options.iter().find(|o| !known_option(o)) {
        return Err(format!(
            "unknown option '{option}'; there are: --publish, --cases=NAME,..."
        ));
    }
    if publish && (!names.is_empty() || options.len() > 1) {
        return Err("only the results of all parts are published".into());
    }
    if names.is_empty() {
        names = known.into_iter().map(str::to_owned).collect();
    }
    Ok(Wanted {
        parts: names,
        publish,
    })
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Output of a command, without the final newline.
fn printed(command: &mut Command) -> Result<String, String> {
    let output = command
        .current_dir(top())
        .output()
        .map_err(|e| format!("{command:?}: {e}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {errors}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

/// Builds the empty probe.
fn build_floor() -> Result<PathBuf, String> {
    let script = top().join("scripts/build-module");
    printed(Command::new(script).args(["--of", "benches/floor"])).map(Into::into)
}

/// Builds the module with only the main hook in its table of hooks.
fn build_main_hook() -> PathBuf {
    guest::build_variant("main-hook", "kmod/hook_table.c", "IN_ALL", "0")
}

/// Output of a machine.
#[derive(Default)]
struct Told {
    figures: Vec<Figure>,
    kernel: String,
}

/// Runs a part in its machine.
fn run_part(part: &Part) -> Result<Told, String> {
    eprintln!("measuring: {}", part.name);
    let mut told = Told::default();
    let mut machine = guest::vm(&part.machine, part.name);
    if part.name == "recording" {
        printed(Command::new("scripts/setup").arg("--peers"))?;
        machine.env(FLOOR, build_floor()?);
        machine.env(MAIN_HOOK, build_main_hook());
    }
    let failed = |e: std::io::Error| format!("the machine of '{}': {e}", part.name);
    let mut child = machine.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    for line in lines {
        let line = line.map_err(failed)?;
        if let Some(figure) = figure::parse(&line) {
            show(&figure);
            told.figures.push(figure);
        } else if let Some(kernel) = line.strip_prefix(KERNEL) {
            kernel.clone_into(&mut told.kernel);
        } else {
            eprintln!("{line}");
        }
    }
    let status = child.wait().map_err(failed)?;
    match status.success() {
        true => Ok(told),
        false => Err(format!(
            "the machine of '{}' ended with {status}",
            part.name
        )),
    }
}

fn show(figure: &Figure) {
    let Figure {
        part,
        case,
        what,
        value,
        unit,
    } = figure;
    eprintln!("  {part:<10} {case:<16} {what:<20} {value:>14} {unit}");
}

fn made() -> Result<Made, String> {
    let git = |args: &[&str]| printed(Command::new("git").args(args));
    let mut commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&[
        "status",
        "--porcelain",
        "--",
        ".",
        ":!docs/benchmarks.md",
        ":!docs/bench",
    ])?;
    if !changed.is_empty() {
        commit += " and changes";
    }
    Ok(Made {
        kernel: String::new(),
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        commit,
    })
}

/// Runs some parts, `at_once` at the same time, and returns their outputs in order.
fn run_parts(parts: &[&Part], at_once: usize) -> Vec<Result<Told, String>> {
    let next = AtomicUsize::new(0);
    let told: Vec<OnceLock<_>> = parts.iter().map(|_| OnceLock::new()).collect();
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(part) = parts.get(index) else { break };
                    let _ = told[index].set(run_part(part));
                }
            });
        }
    });
    told.into_iter()
        .map(|told| told.into_inner().expect("all have run"))
        .collect()
}

/// Publishes again the results on record.
fn redraw() -> Result<(), String> {
    let folder = top().join("docs/bench");
    let text = fs::read_to_string(folder.join("results.json")).map_err(|e| e.to_string())?;
    let mut results: Results = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    results.judge();
    publish(&results, &folder)
}

fn publish(results: &Results, folder: &Path) -> Result<(), String> {
    save(results, folder)?;
    table::into_document(results, &top().join("docs/benchmarks.md"))
}

/// Measures the requested parts. True if everything was measured, and no target is missed.
pub fn run(parts: &[Part]) -> Result<bool, String> {
    if env::args().any(|arg| arg == "--redraw") {
        return redraw().map(|()| true);
    }
    let wanted = wanted(parts)?;
    let mut results = Results::new(made()?);
    let chosen = |counts| {
        let is = |p: &&Part| p.machine.icount == counts && wanted.parts.iter().any(|w| w == p.name);
        parts.iter().filter(is).collect::<Vec<_>>()
    };
    // Other load on the host does not affect machines that count instructions.
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let mut told = run_parts(&chosen(true), cpus);
    told.extend(run_parts(&chosen(false), 1));
    let mut failures = Vec::new();
    for part in told {
        match part {
            Ok(told) => {
                results.figures.extend(told.figures);
                results.made.kernel = told.kernel;
            }
            Err(message) => failures.push(message),
        }
    }
    if wanted.parts.iter().any(|w| w == decode::PART) {
        results
            .figures
            .extend(decode::measure().into_iter().inspect(show));
    }
    results.judge();
    print!("{}", table::all(&results));
    save(
        &results,
        &Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench"),
    )?;
    for failure in &failures {
        eprintln!("bench: {failure}");
    }
    let complete = failures.is_empty();
    if wanted.publish && complete {
        publish(&results, &top().join("docs/bench"))?;
    }
    Ok(complete && results.bars.iter().all(|bar| bar.holds))
}

/// Writes the file and the plots.
fn save(results: &Results, folder: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    let text = serde_json::to_string_pretty(results).expect("results are JSON") + "\n";
    fs::write(folder.join("results.json"), text).map_err(failed)?;
    for (name, plot) in [
        ("cost.svg", plot::cost(results)),
        ("growth.svg", plot::growth(results)),
    ] {
        if let Some(svg) = plot {
            fs::write(folder.join(name), svg).map_err(failed)?;
        }
    }
    eprintln!("results: {}", folder.join("results.json").display());
    Ok(())
}
