//! Examples in `--help`. A test runs every line.

pub(super) const INIT: &str = "\
Examples:
  setlist init                          a tour, with jobs that do no harm
  setlist init --from backup            save, prune and verify with restic
  setlist init --list                   the templates";

pub(super) const IMPORT: &str = "\
Examples:
  setlist import crontab -o jobs.yaml   from `crontab -l`
  setlist import crontab --system /etc/crontab
  setlist import procfile Procfile
  setlist import pueue ~/.local/share/pueue/state.json

Messages name the lines that could not be carried over, and what to do instead.";

pub(super) const PROCESS: &str = "\
Examples:
  setlist process                       process all queues
  setlist process build --quiet         for cron: prints nothing unless a job fails
  setlist process build --next          only the next job
  setlist process --dry-run             print what would run, in order, and why other jobs wait

The first interrupt stops running jobs and records them; the second kills them.";

pub(super) const ADD: &str = "\
Examples:
  setlist add build -- make -j4         a program with its arguments
  setlist add build --script 'make; make install'
  setlist add build --now --retry 2 --timeout 10m -- ./flaky.sh
  ls *.wav | sed 's/.*/lame &/' | setlist add encode --stdin";

pub(super) const RUN: &str = "\
Examples:
  setlist run make -j4                  in the queue `adhoc` of this folder or of your own site
  setlist run --follow ./deploy.sh      prints the output, and exits with its exit code
  setlist run -q encode --title Intro ffmpeg -i intro.mov intro.mp4
  setlist run --on-finish 'notify-send $SETLIST_OUTCOME' make
  setlist log @last                     the output of the job that you added or asked for last";

pub(super) const SCHEDULE: &str = "\
Examples:
  setlist schedule                      the last ten due times of each schedule, and the next
  setlist schedule nightly --next 5
  setlist schedule --since 7d --json | jq -r 'select(.state == \"missed\")'";

pub(super) const EXPLAIN: &str = "\
Examples:
  setlist explain build/test            what it waits for and who holds that, or why it failed
  setlist explain @failed
  setlist explain build/test --json | jq -r .verdict

It starts nothing: conditions (`if`, `unless`) are shown, not asked.";

pub(super) const STATUS: &str = "\
Examples:
  setlist status
  setlist status --check                for monitoring: silent, with exit code 0, if all is well
  setlist status --check --json | jq -r .message

Exit codes of --check: 0 all is well, 1 something needs attention, 2 the arguments or jobs.yaml are invalid, 3 the state \
can't be read.";

pub(super) const SERVICE: &str = "\
Examples:
  setlist service status
  setlist -f ~/app/jobs.yaml service install

`setlist help service` shows the unit, and what to do without systemd.";

pub(super) const LIST: &str = "\
Examples:
  setlist list build --state pending,running
  setlist list --state failed --since 1h
  setlist list --tag slow --json | jq -r .name";

pub(super) const LOG: &str = "\
Examples:
  setlist log build/lint                its latest run
  setlist log build/lint --run 1 --stderr
  setlist log build/lint --diff         how it differs from that of the run before
  setlist log @failed                   of the job that failed last
  setlist log -f build                  all jobs of a queue as they run, with their names";

pub(super) const GREP: &str = "\
Lines are printed as `queue/name:RUN:LINE:text`; `setlist log queue/name --run RUN` prints all of it. Exits with 0 if a line \
matches, with 1 if none does.

Examples:
  setlist grep 'error|panic'            in the output of all jobs
  setlist grep -i timeout nightly --since 12h
  setlist grep -C 2 -F 'E[0382]' build/unit
  setlist grep -l 'out of memory' -q state:failed";

pub(super) const REPORT: &str = "\
Examples:
  setlist report                        the last day, as text
  setlist report nightly --since 12h --html report.html
  setlist process build; setlist report build --junit results.xml
  setlist report --trace trace.json     for https://ui.perfetto.dev

Exits with 0 whether or not there are failures; `setlist status --check` exits with 1.";

pub(super) const HISTORY: &str = "\
Examples:
  setlist history nightly/backup
  setlist history nightly --since 7d --csv >runs.csv
  setlist history build/test --json | jq .run_ms";

pub(super) const METRICS: &str = "\
Examples:
  setlist metrics
  setlist metrics -o setlist.prom       as a whole, for a node exporter's textfile folder

`setlist help monitoring` describes the metrics.";

pub(super) const RESULTS: &str = "\
Examples:
  setlist results sweep                 the parameters of a matrix with the values, lowest first
  setlist results sweep --highest       highest first
  setlist list -q 'value:<0.3'          the jobs whose value is below 0.3";

pub(super) const START: &str = "\
Examples:
  setlist start build                   returns at once
  setlist start build && setlist wait build
  setlist start nightly --again         runs jobs that have finished once more

Exit status: 1 if a queue is paused, or if none of its jobs can start.";

pub(super) const SET: &str = "\
Examples:
  setlist set build parallel=3          also while its jobs run
  setlist set build parallel=file       as many as jobs.yaml says";

pub(super) const CANCEL: &str = "\
Examples:
  setlist cancel build/lint
  setlist cancel build                  its running and pending jobs; `retry` runs them again
  setlist cancel build --running        its running jobs; pauses it, so that pending jobs stay
  setlist cancel --query 'state:running tag:slow'";

pub(super) const REMOVE: &str = "\
Examples:
  setlist remove build/lint
  setlist remove 'build/*'              all of its jobs that are not running
  setlist restore build/lint";

pub(super) const APPROVE: &str = "\
Examples:
  setlist approve                       what needs approval
  setlist approve build/ship            it runs as soon as its turn has come
  setlist approve --refuse build/ship";

pub(super) const RETRY: &str = "\
Examples:
  setlist retry build/lint
  setlist retry build                   its failed jobs; continues it if they have stopped it
  setlist retry --failed                all failed jobs
  setlist retry --tag slow --force

Exit status: 0 if the jobs were accepted, also if they wait for others or for approval, which is printed; 2 if a job was \
refused.";

pub(super) const WAIT: &str = "\
Examples:
  setlist retry --failed && setlist wait && echo all is well
  setlist wait build/lint --timeout 10m --quiet";

pub(super) const WORKER: &str = "\
Commands start a worker when jobs are requested, so this command is only needed for services and containers. On SIGTERM it \
stops running jobs, records them as interrupted and exits with 0.

Examples:
  setlist --file /srv/app/jobs.yaml worker
  setlist worker build --exit-when-idle
  setlist worker --slots 2 --label gpu";

pub(super) const STORE_COPY: &str = "\
No worker may be running on the source. A copy that was interrupted is refused when it is used; remove it, and copy again.

Examples:
  setlist store copy . 'postgres://me@db/jobs?site=build'
  setlist store copy 'postgres://me@db/jobs?site=build' /srv/build";

pub(super) const DRAIN: &str = "\
Examples:
  setlist drain 3
  setlist drain 3 4 --wait";

pub(super) const COMPLETIONS: &str = "\
Examples:
  echo 'source <(setlist completions bash)' >> ~/.bashrc
  echo 'source <(setlist completions zsh)' >> ~/.zshrc
  echo 'setlist completions fish | source' >> ~/.config/fish/config.fish";

pub(super) const MAN: &str = "\
Examples:
  setlist man | man -l -
  setlist man --dir ~/.local/share/man/man1";
