//! What `--help` teaches by example. A test runs every line.

pub(super) const PROCESS: &str = "\
Examples:
  setlist process                       everything, here and now
  setlist process build --quiet         for cron: says nothing unless something goes wrong
  setlist process build --next          only the next job
  setlist process --dry-run             what would run, in order, and why the rest waits

Interrupt it once, and what runs is stopped and recorded; twice, and it is killed.";

pub(super) const ADD: &str = "\
Examples:
  setlist add build -- make -j4         a program with its arguments
  setlist add build --script 'make; make install'
  setlist add build --now --retry 2 --timeout 10m -- ./flaky.sh
  ls *.wav | sed 's/.*/lame &/' | setlist add encode --stdin";

pub(super) const LIST: &str = "\
Examples:
  setlist list build --state pending,running
  setlist list --state failed --since 1h
  setlist list --tag slow --json | jq -r .name";

pub(super) const LOG: &str = "\
Examples:
  setlist log build/lint                its latest run
  setlist log build/lint --run 1 --stderr
  setlist log -f build                  all jobs of a queue as they run, each line with its job's name";

pub(super) const RETRY: &str = "\
Examples:
  setlist retry build/lint
  setlist retry --failed                all that failed
  setlist retry --failed build          of one queue";

pub(super) const WAIT: &str = "\
Examples:
  setlist retry --failed && setlist wait && echo all is well
  setlist wait build/lint --timeout 10m --quiet";

pub(super) const WORKER: &str = "\
Nobody needs one: whoever asks for work starts it. It is meant for services and containers; at TERM it stops what runs,
records it as interrupted and exits with 0.

Examples:
  setlist --file /srv/app/jobs.yaml worker
  setlist worker build --exit-when-idle";

pub(super) const COMPLETIONS: &str = "\
Examples:
  echo 'source <(setlist completions bash)' >> ~/.bashrc
  echo 'source <(setlist completions zsh)' >> ~/.zshrc
  echo 'setlist completions fish | source' >> ~/.config/fish/config.fish";

pub(super) const MAN: &str = "\
Examples:
  setlist man | man -l -
  setlist man --dir ~/.local/share/man/man1";
