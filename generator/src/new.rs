//! `cached-lambda new`: from what was given to a workspace on the disk.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::answers::{AnswersFile, Known};
use crate::cli::{New, Vcs};
use crate::error::Error;
use crate::parameters::NAME;
use crate::problem::{CommandLine, Problem};
use crate::report::{Report, plain};
use crate::write::Target;
use crate::{print, prompt, render, vcs};

/// Tells people something. Where nobody can read it there is nobody to tell that.
macro_rules! say {
    ($($argument:tt)*) => {{
        let _ = writeln!(anstream::stderr(), $($argument)*);
    }};
}

/// Makes a workspace, or says what it would be. `problems` are those found so far.
pub fn run(new: &New, line: &CommandLine, problems: Vec<Problem>) -> Result<(), Error> {
    let asks = prompt::is_possible() && !new.yes && !new.json && !new.quiet;
    let known = known(new, line, asks, problems)?;
    if let Some(name) = known.get(&NAME) {
        // What cannot be made is not asked about.
        Target::new(&new.path, name)?;
    }
    let answers = match asks {
        true => prompt::complete(known, new)?,
        false => known.or_defaults(),
    };
    let tree = render::render(&answers)?;
    let target = Target::new(&new.path, answers.name())?;
    if !new.quiet {
        for left in target.left_behind() {
            let left = plain(&left.display().to_string());
            say!(
                "note: a run that was killed has left {left}; remove it, unless it is still being written"
            );
        }
    }
    let workspace = target.path().to_path_buf();
    let report = Report::new(&answers, &workspace, &tree, new.dry_run);
    if !new.dry_run {
        let interrupted = watch_for_interrupts().map_err(Error::Signals)?;
        let git = vcs::wanted(
            new.vcs.map(|vcs| vcs == Vcs::Git),
            &new.path,
            answers.name(),
        );
        target.write(&tree, git, &interrupted)?;
    }
    if new.json {
        print(&format!("{}\n", report.json()))?;
    } else if new.dry_run {
        print(&report.tree())?;
    } else if !new.quiet {
        say!("{}", report.text(&answers).trim_end());
    }
    Ok(())
}

/// What is known from the flags, then the file. The name must be, unless it is asked for.
fn known(
    new: &New,
    line: &CommandLine,
    asks: bool,
    mut problems: Vec<Problem>,
) -> Result<Known, Error> {
    let problem = |flag: &str, value: &Path, message: String, why: io::Error| Problem {
        place: flag.into(),
        value: Some(value.display().to_string()),
        message,
        why: match why.kind() {
            io::ErrorKind::NotFound => format!("{why}; it must exist"),
            _ => why.to_string(),
        },
        instead: None,
        written: None,
        source: line.source.clone(),
        span: line.span(line.value(flag)),
    };
    let mut given = new.parameters.given(line);
    if let Some(path) = &new.answers {
        match AnswersFile::read(path) {
            Ok(file) => {
                if let Some(version) = file.template_version
                    && version != env!("CARGO_PKG_VERSION")
                    && !new.quiet
                {
                    say!(
                        "note: {} was made with version {version:?}; this is {}",
                        path.display(),
                        env!("CARGO_PKG_VERSION")
                    );
                }
                let flags: Vec<_> = given.iter().map(|flag| flag.parameter.key).collect();
                let not_given = file.given.into_iter();
                given.extend(not_given.filter(|file| !flags.contains(&file.parameter.key)));
                problems.extend(file.problems);
            }
            Err(why) => {
                let message = format!("`{}` cannot be read", path.display());
                problems.push(problem("--answers", path, message, why));
            }
        }
    }
    let name = given.iter().find(|given| given.parameter.key == NAME.key);
    let name = name.map(|name| name.value.clone());
    let (known, refused) = Known::check(given);
    problems.extend(refused);
    if let Err(why) = new.path.read_dir() {
        let message = format!("`{}` is not a folder that can be read", new.path.display());
        problems.push(problem("--path", &new.path, message, why));
    }
    if name.is_none() && !asks {
        problems.push(Problem {
            place: NAME.argument(),
            value: None,
            message: format!("`{}` is missing", NAME.argument()),
            why: "a name is required, such as my-quotes".into(),
            instead: Some("my-quotes".into()),
            written: Some(" my-quotes".into()),
            source: line.source.clone(),
            span: line.span(None),
        });
    }
    if !problems.is_empty() {
        // As they stand there, the command line first.
        problems.sort_by_key(|problem| (problem.source.name.is_some(), problem.span.start));
        return Err(Error::Given(problems));
    }
    if let (Some(given), Some(used)) = (name, known.get(&NAME))
        && given != used
        && !new.quiet
    {
        say!("note: the name `{given}` becomes `{used}`");
    }
    Ok(known)
}

/// From here on an interrupt does not end the process, which has to tidy up first.
fn watch_for_interrupts() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    Ok(interrupted)
}
