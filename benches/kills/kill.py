"""Kills a command at random moments and checks that, started again, it ends in the same bytes as a run that nobody disturbed.

    python benches/kills/kill.py -n 30 -- target/release/confide train CODEBOOK --data DATA --base minilm -o {out}
    python benches/kills/kill.py -n 30 -- target/release/confide classify BUNDLE CORPUS -o {out}.csv

The argument with {out} is the output, a file or a folder; {out} becomes a name of its own in each trial. Every trial starts the
command, sends SIGKILL to its process group at a moment drawn from the length of the undisturbed run, and starts the same command
again until it has finished. Compared are the output's bytes (folder: names and bytes of all files in it, so not `<bundle>.run/` beside
it), the exit code, and that no `<output>.partial` is left. Trials that pass are deleted, those that fail are kept. Exit code 0: all
passed; 1: some failed; 2: nothing could be tried.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def digests(output):
    """File names below the output and the SHA-256 of each; a folder without files counts as a name of its own."""
    if output.is_file():
        return {".": hashlib.sha256(output.read_bytes()).hexdigest()}
    found = {}
    for path in sorted(output.rglob("*")):
        name = str(path.relative_to(output))
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


def differences(expected, output):
    found = digests(output)
    if expected == found:
        return None
    names = [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
    return "differs in " + ", ".join("the file itself" if name == "." else name for name in names)


class Trial:
    def __init__(self, command, work, name, limit=None):
        self.place = str(work / name)
        self.arguments = [argument.replace("{out}", self.place) for argument in command]
        self.output = Path(next(new for new, old in zip(self.arguments, command) if "{out}" in old).split("=", 1)[-1])
        self.partial = Path(f"{self.output}.partial")
        self.log = work / f"{name}.log"
        self.limit = limit

    def start(self):
        # Its own process group, so that a kill leaves no child behind.
        with open(self.log, "ab") as log:
            return subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def kill(self, process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def finish(self):
        """Runs to the end; -> (exit code, or None when it took longer than the limit; seconds)."""
        started = time.monotonic()
        process = self.start()
        try:
            code = process.wait(self.limit)
        except subprocess.TimeoutExpired:
            self.kill(process)
            code = None
        except BaseException:
            self.kill(process)
            raise
        return code, time.monotonic() - started

    def delete(self):
        for path in self.log.parent.glob(f"{Path(self.place).name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def attempt(trial, moments, expected, expected_code):
    """One trial with a kill at each of the moments; -> (what went wrong or None, account of it)."""
    account = []
    for moment in moments:
        process = trial.start()
        try:
            code = process.wait(moment)
        except subprocess.TimeoutExpired:
            trial.kill(process)
            code = process.returncode
        except BaseException:
            trial.kill(process)
            raise
        if code != -signal.SIGKILL:
            account.append(f"had ended before {moment:.2f} s")
            break
        account.append(f"killed at {moment:.2f} s")
        # The kill may fall between the output's appearance and the end of the process: there is nothing left to resume.
        if trial.output.exists():
            account.append("with the output in place")
            code = expected_code
            break
    else:
        code, seconds = trial.finish()
        account.append(f"then ran {seconds:.2f} s")
    account = ", ".join(account)
    if code is None:
        return f"still running after {trial.limit:.0f} s", account
    if code != expected_code:
        return f"exit code {code} instead of {expected_code}", account
    if not trial.output.exists():
        return "no output", account
    if trial.partial.exists() and "in place" not in account:
        return f"left {trial.partial.name} behind", account
    return differences(expected, trial.output), account


def tail(log, lines=5):
    return "\n".join("    " + line for line in log.read_text(errors="replace").splitlines()[-lines:])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("-n", type=int, default=30, help="trials (default 30)")
    options.add_argument("--kills", type=int, default=1, help="kills in each trial (default 1)")
    options.add_argument("--seed", type=int, default=0, help="decides the moments (default 0)")
    options.add_argument("--work", type=Path, help="folder for the outputs (default: a new one among the temporary ones)")
    options.add_argument("command", nargs="+", help="after --; {out} stands for the output's name")
    args = options.parse_args()
    if sum("{out}" in argument for argument in args.command) != 1:
        options.error("exactly one argument of the command must hold {out}")

    if args.work:
        args.work.mkdir(parents=True, exist_ok=True)
    work = Path(args.work or tempfile.mkdtemp(prefix="kills-")).resolve()
    unbroken = Trial(args.command, work, "unbroken")
    if unbroken.output.exists():
        options.error(f"{unbroken.output} exists: name another --work")
    expected_code, duration = unbroken.finish()
    if expected_code not in (0, 1) or not unbroken.output.exists():
        print(f"the unbroken run ended with {expected_code}, output {'there' if unbroken.output.exists() else 'missing'}")
        print(tail(unbroken.log))
        return 2
    expected = digests(unbroken.output)
    print(f"unbroken: {duration:.2f} s, exit code {expected_code}, {len(expected)} files", flush=True)

    draw = random.Random(args.seed)
    failed = 0
    for number in range(1, args.n + 1):
        trial = Trial(args.command, work, f"trial-{number:03}", limit=60 + 10 * duration)
        moments = [draw.uniform(0, duration) for _ in range(args.kills)]
        wrong, account = attempt(trial, moments, expected, expected_code)
        print(f"trial {number}: {account}: {wrong or 'same bytes'}", flush=True)
        if wrong:
            failed += 1
            print(tail(trial.log), flush=True)
        else:
            trial.delete()
    print(f"{args.n - failed} passed, {failed} failed")
    if failed:
        print(f"kept in {work}")
    elif not args.work:
        shutil.rmtree(work)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
