//! `cached-lambda new`: from what was given to a workspace on the disk.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::changes::ENDING;
use crate::cli::{self, New, Vcs};
use crate::error::Error;
use crate::report::{Report, plain};
use crate::template::SOURCES;
use crate::write::Target;
use crate::{print, prompt, render, vcs};

/// Makes a workspace, or says what it would be.
pub fn run(new: New) -> Result<(), Error> {
    let here = env!("CARGO_PKG_VERSION");
    let file = new.answers.clone().unwrap_or_default();
    if let Some(there) = file
        .template_version
        .filter(|there| there != here && !new.quiet)
    {
        say!("note: these answers are from version {there:?}; this is {here}");
    }
    let mut known = new.flags.clone().or(file.answers);
    known.convert_name(new.quiet);
    let asks = prompt::is_possible() && !new.yes && !new.json && !new.quiet;
    match known.name() {
        "" if asks => {}
        "" => cli::require_name()?,
        // What cannot be made is not asked about.
        name => drop(Target::new(&new.path, name)?),
    }
    let answers = match asks {
        true => prompt::complete(known, &new)?,
        false => known.or_defaults(),
    };
    let tree = render::render(SOURCES, &answers)?;
    let target = Target::new(&new.path, answers.name())?;
    let report = Report {
        answers: &answers,
        workspace: target.path(),
        tree: &tree,
        dry_run: new.dry_run,
    };
    if !new.dry_run {
        // From here on an interrupt does not end the process, which has to tidy up first.
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in ENDING {
            let flag = Arc::clone(&interrupted);
            signal_hook::flag::register(signal, flag).map_err(Error::Signals)?;
        }
        let git = wants_repository(&new, target.path(), answers.name());
        target.write(&tree, git, &interrupted)?;
    }
    if new.json {
        print(&format!("{}\n", report.json()))?;
    } else if new.dry_run {
        print(&report.list())?;
    } else if !new.quiet {
        say!("{}", report.text());
    }
    Ok(())
}

/// Whether to make one. Inside another, GitHub would not look for the workflows.
fn wants_repository(new: &New, workspace: &Path, name: &str) -> bool {
    let found = match new.vcs {
        Some(vcs) => return vcs == Vcs::Git,
        None => vcs::find(&new.path, name),
    };
    if let vcs::Found::Inside(root) = &found
        && !new.quiet
    {
        let note = format!(
            "note: {} is a repository, so none was made in it. GitHub reads workflows at its top \
             alone: move those of {} there, with `defaults.run.working-directory` and `paths`",
            root.display(),
            workspace.join(".github").display()
        );
        say!("{}", plain(&note));
    }
    matches!(found, vcs::Found::Git)
}
