//! `setlist report`: what happened in a period, as text, an HTML page, `JUnit` XML or a trace.

mod activity;
pub(super) mod args;
mod gather;
mod html;
mod json_report;
mod junit;
mod period;
mod summary;
mod svg_timeline;
mod text_report;
mod top_list;
mod trace;

use std::io::{BufWriter, Write};

use args::ReportArgs;
use gather::gather;
use period::Period;

use super::error::CliError;
use super::exit::ExitStatus;
use super::open_site::OpenSite;
use super::output_file::{is_stdout, write_to};
use super::run_feed::time_before;
use super::safe_output;
use crate::clock;

/// Reports what happened.
pub(super) fn report(mut site: OpenSite, args: &ReportArgs) -> Result<ExitStatus, CliError> {
    let files = [&args.html, &args.junit, &args.trace];
    let to_stdout = files.iter().filter(|file| file.as_deref().is_some_and(is_stdout)).count();
    if to_stdout > 1 {
        return Err(CliError::Usage("only one of --html, --junit and --trace can be standard output".to_owned()));
    }
    let queues = site.queue_ids(&args.queues)?;
    let until = clock::now();
    let period = Period { since: time_before(until, args.since), until };
    if files.iter().all(|file| file.is_none()) || args.html.is_some() {
        let data = gather(&mut site, &queues, period)?;
        if let Some(file) = &args.html {
            write_to(file, |out| html::write(out, &data))?;
        } else {
            let mut out = BufWriter::new(safe_output::stdout());
            if args.json {
                json_report::print(&mut out, &data)?;
            } else {
                text_report::print(&mut out, &data)?;
            }
            out.flush()?;
        }
    }
    if let Some(file) = &args.junit {
        write_to(file, |out| junit::write(out, site.store.as_mut(), &queues, period))?;
    }
    if let Some(file) = &args.trace {
        write_to(file, |out| trace::write(out, site.store.as_mut(), &queues, period))?;
    }
    site.finish(ExitStatus::Success)
}
