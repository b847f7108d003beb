"""The soak's driver: starts the programs, writes down what they hold, and judges it. Runs in namespaces of its own,
which run.sh makes."""

import argparse
import glob
import json
import os
import subprocess
import sys
import time

import growth
from programs import Programs

# Counters that say how the time went.
SHOWN = ["TcpInSegs", "TcpOutSegs", "TcpRetransSegs", "TcpPassiveOpens", "TcpActiveOpens", "TcpEstabResets",
         "TcpOutRsts", "TcpAttemptFails", "UdpInDatagrams", "UdpOutDatagrams", "IpReasmOKs", "IpReasmFails"]
# What a connection in TIME-WAIT may cost the process that has the stack, KB (docs/memory.md).
TIME_WAIT = 0.5
# What may be left over when the load has gone, beyond what there was before it came: of a host's descriptors what it
# has for processes that ask it something for the first time, as nginx's workers.
LEFT = {"descriptors": 5, "sockets": 2, "names": 2, "folders": 0}


def status(pid):
    """Resident memory of a process in KB."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def children(pid):
    """The processes that one has started, by the kernel's word."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


class Sampler:
    """Takes the samples: `series` has them by kind and name, as pairs of seconds and value."""

    def __init__(self, programs, out):
        self.programs, self.began = programs, time.monotonic()
        self.series, self.counters, self.owners = {}, {}, {}
        self.file = open(f"{out}/samples.jsonl", "w", encoding="ascii")

    def sockeye(self, *arguments):
        """What the program `sockeye` says."""
        done = subprocess.run([f"{self.programs.out}/sockeye", *arguments], env=self.programs.environment,
                              capture_output=True, timeout=30, check=False)
        return done.stdout.decode(errors="replace") if done.returncode == 0 else ""

    def processes(self):
        """Who is looked at, by name: those that live, and what they started that lives as long."""
        found = {name: child.pid for name, child in self.programs.living.items()}
        for name in list(found):
            if name in ("host", "hosted-nginx"):
                try:
                    for number, child in enumerate(children(found[name])):
                        found[f"{name}'s child {number + 1}"] = child
                except OSError:
                    pass
        return found

    def take(self):
        """One sample: {kind: {name: value}}."""
        sample = {"memory": {}, "descriptors": {}, "sockets": {}, "names": {}, "folders": {}, "time-wait": {}}
        for name, pid in self.processes().items():
            try:
                memory = status(pid)
                if memory:
                    sample["memory"][name] = memory
                    sample["descriptors"][name] = len(os.listdir(f"/proc/{pid}/fd"))
            except OSError:
                continue
        try:
            stacks = [(stack["stack"], stack["pid"]) for stack in json.loads(self.sockeye("ls", "-j") or "[]")]
        except ValueError:
            stacks = []
        for stack, pid in stacks:
            self.owners.update({name: stack for name, process in self.processes().items() if process == pid})
            sockets = self.sockeye("ss", "-aHn", "--stack", stack).splitlines()
            waiting = sum("TIME-WAIT" in line for line in sockets)
            sample["sockets"][stack] = len(sockets) - waiting
            sample["time-wait"][stack] = waiting
        folders = [path for root in ["/tmp", "/run"] for path in glob.glob(f"{root}/sockeye-*")]
        sample["folders"]["all stacks"] = len(folders)
        sample["names"]["in folders"] = sum(entries(path) for path in folders)
        with open("/proc/net/unix", encoding="ascii", errors="replace") as file:
            named = [line.split()[-1] for line in file if len(line.split()) > 7]
        sample["names"]["abstract"] = sum(name.startswith("@") for name in named)
        with open("/proc/net/sockstat", encoding="ascii") as file:
            tcp = next(line.split() for line in file if line.startswith("TCP:"))
        sample["sockets"]["the kernel's TCP"] = int(tcp[tcp.index("inuse") + 1])
        return sample

    def note(self):
        """Takes one and writes it down."""
        at, sample = time.monotonic() - self.began, self.take()
        for kind, values in sample.items():
            for name, value in values.items():
                self.series.setdefault((kind, name), []).append((at, value))
        try:
            self.counters = json.loads(self.sockeye("nstat", "-ajz") or "{}")
        except ValueError:
            pass
        line = {"seconds": round(at, 1), **sample, "owners": self.owners, "counters": self.counters}
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        return sample


def entries(path):
    """How many entries a folder has; one that has just gone has none."""
    try:
        return len(os.listdir(path))
    except OSError:
        return 0


def without_time_wait(memory, waiting):
    """A process's memory without what its stack's connections in TIME-WAIT may cost. How many those are goes with how
    fast the machine lets clients be, which is not the soak's to judge."""
    count = dict(waiting)
    return [(at, value - TIME_WAIT * count[at]) for at, value in memory if at in count] or memory


def judged(all_series, owners, duration):
    """The table's lines, and what grows. A star says that TIME-WAIT is taken off."""
    lines, wrong = [], []
    form = "{:<12}{:<24}{:>9}{:>9}{:>9}{:>11}{:>9}  {}"
    lines.append(form.format("", "", "start", "middle", "end", "an hour", "bound", ""))
    for kind, bound in growth.BOUNDS.items():
        for (of, name), series in sorted(all_series.items()):
            # Who has lived for a part of the time only is no process of the soak's.
            if of != kind or series[-1][0] - series[0][0] < duration * 0.8:
                continue
            shown = name
            if kind == "memory" and name in owners:
                series, shown = without_time_wait(series, all_series.get(("time-wait", owners[name]), [])), f"{name} *"
            verdict = growth.judge(series, bound)
            unit = " KB" if kind == "memory" else ""
            lines.append(form.format(kind + unit, shown, f"{verdict.start:.0f}", f"{verdict.middle:.0f}",
                                     f"{verdict.end:.0f}", f"{verdict.an_hour:+.0f}", f"{bound.an_hour:.0f}",
                                     "GROWS" if verdict.why else ""))
            if verdict.why:
                wrong.append(f"{kind} of {name} {verdict.why}")
    return lines, wrong


def pictures(all_series):
    """The text plot and the picture."""
    text, panels = [], []
    for kind, unit, by in [("memory", "MB", 1024), ("descriptors", "", 1), ("sockets", "", 1), ("time-wait", "", 1),
                           ("names", "", 1)]:
        lines = {name: [(t, v / by) for t, v in series] for (of, name), series in all_series.items()
                 if of == kind and len(series) > 1}
        panels.append((kind, unit, lines))
        for name, series in lines.items():
            values = [v for _, v in series]
            span = f"{min(values):.0f}..{max(values):.0f} {unit}".strip()
            text.append(f"{kind:<12}{name:<24}{growth.line(series)}  {span}")
    return text, growth.svg(panels)


def left_over(before, after):
    """What is more when all is quiet again than it was before the load."""
    wrong = []
    for kind, allowed in LEFT.items():
        for name, value in after[kind].items():
            was = before[kind].get(name)
            if was is not None and value > was + allowed:
                wrong.append(f"{kind} of {name}: {value} when the load has gone, {was} before it came")
    return wrong


def quiet(sampler, before, seconds):
    """The sample once the load has gone: as soon as nothing is left of it, or after some time."""
    end = time.monotonic() + seconds
    while True:
        after = sampler.take()
        if not left_over(before, after) or time.monotonic() > end:
            return after
        time.sleep(1)


def held_by(sampler):
    """Who has which socket, of all stacks and of the kernel's, and which descriptors the host has: for who has to find
    out why some are left."""
    text = [line for line in sampler.sockeye("ss", "-atnp").splitlines() if "TIME-WAIT" not in line]
    with open("/proc/net/tcp", encoding="ascii") as file:
        text += [line.rstrip() for line in file if line.split()[3] != "06"]
    folder = f"/proc/{sampler.programs.living['host'].pid}/fd"
    for number in sorted(os.listdir(folder), key=int):
        with open(f"{folder}info/{number}", encoding="ascii", errors="replace") as file:
            pid = [line.split()[1] for line in file if line.startswith("Pid:")]
        text.append(f"{number} {os.readlink(f'{folder}/{number}')} {' '.join(pid)}")
    return "\n".join(text) + "\n"


def judge_again(path):
    """Judges samples that were taken before."""
    series, owners = {}, {}
    with open(path, encoding="ascii") as file:
        for sample in map(json.loads, file):
            owners.update(sample.get("owners", {}))
            for kind in [*growth.BOUNDS, "time-wait"]:
                for name, value in sample[kind].items():
                    series.setdefault((kind, name), []).append((sample["seconds"], value))
    lines, wrong = judged(series, owners, sample["seconds"])
    print("\n".join([*lines, "", *pictures(series)[0], "", *wrong]))
    return 1 if wrong else 0


def main():
    """Runs it."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--hours", type=float)
    arguments.add_argument("--out")
    arguments.add_argument("--judge", metavar="SAMPLES", help="judge samples.jsonl of a run, and run nothing")
    arguments = arguments.parse_args()
    if arguments.judge:
        sys.exit(judge_again(arguments.judge))
    duration = arguments.hours * 3600
    every = max(0.5, min(5, duration / 60))
    programs = Programs(arguments.out)
    programs.start_servers()
    sampler = Sampler(programs, arguments.out)
    time.sleep(1)
    before = sampler.take()
    programs.start_load()
    programs.start_passers_by()
    print(f"soaking for {duration / 60:.1f} minutes, a sample every {every:.1f} s; "
          f"samples: {arguments.out}/samples.jsonl", flush=True)
    sampler.began = time.monotonic()
    due = sampler.began
    while time.monotonic() < sampler.began + duration:
        programs.look()
        sampler.note()
        if sys.stderr.isatty():
            print(f"\r{(time.monotonic() - sampler.began) / 60:7.1f} min, {len(programs.wrong)} wrong ", end="",
                  file=sys.stderr, flush=True)
        due += every
        time.sleep(max(0, min(due, sampler.began + duration) - time.monotonic()))
    programs.look()
    programs.stop_load()
    after = quiet(sampler, before, min(60, 20 + duration / 10))
    lines, wrong = judged(sampler.series, sampler.owners, duration)
    wrong = programs.wrong + wrong + left_over(before, after)
    if left_over(before, after):
        with open(f"{arguments.out}/left.txt", "w", encoding="utf-8") as file:
            file.write(held_by(sampler))
    text, picture = pictures(sampler.series)
    with open(f"{arguments.out}/soak.svg", "w", encoding="utf-8") as file:
        file.write(picture)
    at_rest = [f"{name:<24}{before['memory'].get(name, 0):>9}{value:>9}{before['descriptors'].get(name, 0):>9}"
               f"{after['descriptors'].get(name, 0):>9}" for name, value in after["memory"].items()]
    counted = [f"{stack}: " + ", ".join(f"{name} {counts[name]}" for name in SHOWN if counts.get(name))
               for stack, counts in sampler.counters.items()]
    report = ["", *lines, "", *text, "",
              f"{'at rest':<24}{'KB before':>9}{'after':>9}{'fds before':>11}{'after':>7}", *at_rest, "", *counted, "",
              ", ".join(f"{name}: {count}" for name, count in sorted(programs.counts.items())), ""]
    well = f"nothing grew, died or was wrong in {duration / 60:.0f} minutes"
    report += [f"WRONG: {what}" for what in wrong] or [well]
    print("\n".join(report), flush=True)
    with open(f"{arguments.out}/report.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(report) + "\n")
    for name in list(programs.living):
        if name != "host":
            programs.end(name)
    sys.stdout.flush()
    os._exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
