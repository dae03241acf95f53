//! Entries in the forms that the manuals of Vixie cron, cronie and systemd-cron describe: as a schedule, each has the same
//! next ten due times as an oracle that reads the crontab by itself and looks at every minute.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use setlist::definition;

use super::import;
use crate::recurrence::Expression;
use crate::temp_site::TempSite;

/// What precedes an entry, its times, and the rest of its line. With a user, it is an entry of `/etc/crontab`.
const SHAPES: [(&str, &str, &str); 68] = [
    ("", "* * * * *", "date"),
    ("", "0 * * * *", "run-parts /etc/cron.hourly"),
    ("", "*/5 * * * *", "/usr/bin/mrtg /etc/mrtg.cfg"),
    ("", "*/15 8-18 * * 1-5", "poll"),
    ("", "0,30 * * * *", "twice"),
    ("", "5 0 * * *", "$HOME/bin/daily.job >> $HOME/tmp/out 2>&1"),
    ("", "15 14 1 * *", "$HOME/bin/monthly"),
    ("", "0 22 * * 1-5", "mail -s \"It's 10pm\" joe%Joe,%%Where are your kids?%"),
    ("", "23 0-23/2 * * *", "echo \"run 23 minutes after midn, 2am, 4am ..., everyday\""),
    ("", "5 4 * * sun", "echo \"run at 5 after 4 every sunday\""),
    ("", "0 4 8-14 * *", "test $(date +\\%u) -eq 6 && echo \"2nd Saturday\""),
    ("", "30 4 1,15 * 5", "either"),
    ("", "0 0 1 1 *", "yearly"),
    ("", "0 0 29 2 *", "leap"),
    ("", "59 23 31 12 *", "last"),
    ("", "0 12 * * 0", "sunday"),
    ("", "0 12 * * 7", "sunday, too"),
    ("", "0 12 * * 5-7", "weekend"),
    ("", "0 12 * * 0-7", "always"),
    ("", "0 12 * * 6,7", "weekend"),
    ("", "0 12 * * Sat,SUN", "weekend"),
    ("", "0 12 * * fri-sun", "weekend"),
    ("", "0 12 * * mon-fri", "work"),
    ("", "0 12 * * 1-7/2", "odd"),
    ("", "0 12 * * */2", "even"),
    ("", "0 12 * * */3", "third"),
    ("", "10 3 * jan,Apr,JUL,oct *", "quarter"),
    ("", "10 3 1 jan-mar *", "winter"),
    ("", "10 3 1 */3 *", "quarter"),
    ("", "10 3 1 2-12/3 *", "quarter"),
    ("", "0 0 */2 * *", "odd days"),
    ("", "0 0 1-31/2 * *", "odd days"),
    ("", "0 0 1-7 * 1", "first days, and Mondays"),
    ("", "0 0 */7 * 1", "both"),
    ("", "0 0 1-7 * */6", "both"),
    ("", "0 0 * * */7", "sundays"),
    ("", "0 0 1-15 * */2,7", "both"),
    ("", "0 0 * * 1,3,5", "thrice"),
    ("", "0 0 1-31 * 1", "every day"),
    ("", "0 0 13 * fri", "either"),
    ("", "*/35 * * * *", "twice an hour"),
    ("", "*/23 */23 * * *", "steps within a field"),
    ("", "*/7 */5 * * *", "uneven steps"),
    ("", "1-59/2 * * * *", "odd minutes"),
    ("", "0-4,8-12,55 1 * * *", "ranges"),
    ("", "0-29/10,30-59/5 9-17 * * 1-5", "steps in a list"),
    ("", "00 05 01 01,07 *", "leading zeros"),
    ("", "0 9-17/4,23 * * *", "office"),
    ("", "*/1 6 * * *", "a step of one"),
    ("  \t", "17 *\t* * *", "cd / && run-parts --report /etc/cron.hourly"),
    ("", "@yearly", "once"),
    ("", "@annually", "once"),
    ("", "@monthly", "once"),
    ("", "@weekly", "once"),
    ("", "@daily", "once"),
    ("", "@midnight", "once"),
    ("", "@hourly", "once"),
    ("", "@quarterly", "systemd-cron"),
    ("", "@semi-annually", "systemd-cron"),
    ("", "@minutely", "systemd-cron"),
    ("CRON_TZ=Japan\n", "5 0 * * *", "date"),
    ("CRON_TZ=Europe/Berlin\n", "30 2 * * *", "in the hour of the change"),
    ("CRON_TZ=\"America/New_York\"\nMAILTO=\"\"\n", "0 2 8-14 3 *", "in the hour of the change"),
    ("CRON_TZ = Asia/Kolkata\n", "15 5 * * 1-5", "half an hour off"),
    ("SHELL=/bin/bash\n# each night\n", "25 6 * * *", "test -x /usr/sbin/anacron || true"),
    ("SHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin\n", "25 6 * * *", "root run"),
    (
        "MAILTO=root\n",
        "47 6 * * 7",
        "root test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }",
    ),
    ("", "-52 6 1 * *", "root -n cd / && run-parts --report /etc/cron.monthly"),
];

/// The values of a field, as `crontab(5)` says.
fn values(text: &str, min: u32, max: u32, names: &[&str]) -> BTreeSet<u32> {
    let number = |text: &str| {
        let place = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        place.map_or_else(|| text.parse().unwrap(), |at| u32::try_from(at).unwrap() + min)
    };
    let mut values = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, 1), |(range, step)| (range, step.parse().unwrap()));
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((from, to)) => (number(from), number(to)),
            None => (number(range), number(range)),
        };
        // `fri-sun`: the last name is that of 0 and of 7.
        let to = if from > to { 7 } else { to };
        values.extend((from..=to).step_by(step));
    }
    values
}

fn oracle(times: &str) -> Expression {
    let fields = match times.trim_start_matches('-') {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@quarterly" => "0 0 1 1,4,7,10 *",
        "@semi-annually" => "0 0 1 1,7 *",
        "@minutely" => "* * * * *",
        fields => fields,
    };
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let weekdays = values(fields[4], 0, 7, &days).into_iter().map(|day| day % 7).collect();
    let field = |at: usize, values| (fields[at].starts_with('*'), values);
    Expression::with_values([
        field(0, values(fields[0], 0, 59, &[])),
        field(1, values(fields[1], 0, 23, &[])),
        field(2, values(fields[2], 1, 31, &[])),
        field(3, values(fields[3], 1, 12, &months)),
        field(4, weekdays),
    ])
}

#[test]
fn imported_entries_are_due_when_cron_would_run_them() {
    let site = TempSite::empty();
    let start: DateTime<Utc> = Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).unwrap();
    for (before, times, command) in SHAPES {
        let crontab = format!("{before}{times} {command}\n");
        let is_system = command.starts_with("root ");
        let options: &[&str] = if is_system { &["--system", "--user", "root"] } else { &[] };
        let messages = import(&site, "crontab", &crontab, options);
        assert!(!messages.contains("not carried over"), "{crontab}: {messages}");
        let plan = definition::read(&site.join("jobs.yaml")).unwrap();
        let [queue] = &plan.queues[..] else { panic!("{crontab}") };
        let [job] = &queue.jobs[..] else { panic!("{crontab}") };
        let schedule = job.scheduling.schedule.as_ref().unwrap();
        let zone: Tz = match before.split_once("CRON_TZ") {
            Some((_, zone)) => zone.lines().next().unwrap().trim_matches([' ', '=', '"']).parse().unwrap(),
            None => schedule.times[0].zone(),
        };
        let found = std::iter::successors(schedule.next_after(start), |time| schedule.next_after(*time));
        assert_eq!(found.take(10).collect::<Vec<_>>(), oracle(times).first_by_minute(zone, start, 10), "{crontab}");
    }
}
