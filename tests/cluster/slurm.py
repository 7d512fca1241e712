"""A Slurm of one's own: munge, MariaDB, slurmdbd, slurmctld and two slurmd nodes on one host, on loopback, all real.

It is set as sites set theirs: memory and time limits are enforced, associations have limits, a partition of higher priority
preempts. Everything lies in one temporary folder; nothing of the machine's own Slurm, if it has one, is touched.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

from tests.cluster.calls import Call, read_calls, wrap
from tests.cluster.daemons import Daemons, free_port, listens, marked, opened, wait
from tests.cluster.debian import require

PACKAGES = ("slurm-wlm", "slurmdbd", "munge", "mariadb-server")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin={task_plugin}
TaskProlog={folder}/task-prolog
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/logs/slurmctld.log
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/logs/slurmd.%n.log
SlurmdSpoolDir={folder}/spool.%n
StateSaveLocation={folder}/state
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=100000
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=300
SlurmctldTimeout=10
SlurmdTimeout=15
MessageTimeout=10
KillWait=2
MaxArraySize={max_array}
OverTimeLimit=0
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge/socket
AccountingStorageEnforce=associations,limits,qos
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
{polling}
NodeName={first} NodeHostname={host} NodeAddr=127.0.0.1 Port={first_port} CPUs={cpus} RealMemory={memory}
NodeName={second} NodeHostname={host} NodeAddr=127.0.0.1 Port={second_port} CPUs={cpus} RealMemory={memory}
PartitionName=main Nodes={first},{second} Default=YES MaxTime=2-00:00:00 State=UP PriorityTier=1
PartitionName=urgent Nodes={first},{second} MaxTime=2-00:00:00 State=UP PriorityTier=10 PreemptMode=OFF
"""
DBD_CONF = """
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
LogFile={folder}/logs/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""
FIRST_SQL = """CREATE DATABASE slurm;
CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm.* TO slurm@'127.0.0.1';
"""
CGROUP_CONF = """
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainRAMSpace=yes
"""
TASK_PROLOG = """#!/bin/sh
# a task waits here, its job running, while the test holds it: see slurm_events.Gate
while [ -e '{folder}/gate' ] && [ ! -e "{folder}/gate/$SLURM_JOB_ID" ]; do sleep 0.1; done
"""
COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "sacctmgr", "srun")
KERNEL, POLLED = "kernel", "polled"
MEMORY_GROUPS = Path("/sys/fs/cgroup/memory")


class SlurmCluster:
    """The daemons; use as a context manager. What tests do to them: tests/cluster/slurm_events.py.

    Parameters
    ----------
    folder
        For everything; short, as it holds sockets.
    cpus, memory
        Of each node; memory in MB.
    max_array
        Slurm's `MaxArraySize`: one more than the largest index of a job array.
    enforced
        Who ends a job that takes more memory than it asked for: ``kernel``, by control groups, as most sites have it;
        ``polled``, by Slurm, which looks every second (`OverMemoryKill`). None: the kernel, where this machine lets us.
    """

    def __init__(
        self, folder: Path, cpus: int = 2, memory: int = 8000, max_array: int = 1001, enforced: str | None = None
    ) -> None:
        require(*PACKAGES)
        self.folder, self.cpus, self.memory, self.max_array = folder, cpus, memory, max_array
        self.enforced = enforced or (KERNEL if can_make_groups() else POLLED)
        self.daemons = Daemons(folder)
        self.host = socket.gethostname().split(".")[0]
        self.nodes, self._names = free_names()
        self.ports = {name: free_port() for name in ("ctld", "dbd", "sql", *self.nodes)}

    def __enter__(self) -> "SlurmCluster":
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self.daemons.stop()
        for node in self.nodes:
            remove_groups(MEMORY_GROUPS / f"slurm_{node}")
        self._names.close()
        shutil.rmtree(self.folder / "sql", ignore_errors=True)

    @property
    def env(self) -> dict[str, str]:
        """Environment of a process that uses the cluster."""
        path = os.pathsep.join((str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]))
        return os.environ | self.daemons.mark | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def call(self, *command: str, check: bool = True) -> str:
        """Run one of Slurm's commands and return what it printed; it is not counted among the calls."""
        env = self.env | {"PATH": os.environ["PATH"]}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    # ---- start -------------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.configure()
        (self.folder / "state").mkdir()
        (self.folder / "task-prolog").write_text(TASK_PROLOG.format(folder=self.folder))
        (self.folder / "task-prolog").chmod(0o755)
        wrap(self.folder / "bin", COMMANDS, self.folder / "slurm.conf", self.folder / "calls")
        self._start_munge()
        self._start_sql()
        self.start_database()
        self._add_accounts()
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        if not wait(lambda: all(self.node_state(n).startswith("idle") for n in self.nodes), 60):
            pytest.skip(f"the nodes do not get idle: {self.call('sinfo', check=False)}")

    def configure(self) -> None:
        """Write the files that the daemons read when they start."""
        kernel = self.enforced == KERNEL
        values = {"folder": self.folder, "host": self.host, "cpus": self.cpus, "memory": self.memory, **self.ports}
        values |= {
            "task_plugin": "task/cgroup" if kernel else "task/none",
            "polling": "" if kernel else "JobAcctGatherParams=OverMemoryKill",
        }
        values |= {"first": self.nodes[0], "second": self.nodes[1], "max_array": self.max_array}
        values |= {"first_port": self.ports[self.nodes[0]], "second_port": self.ports[self.nodes[1]]}
        files = (("slurm.conf", CONF, 0o644), ("slurmdbd.conf", DBD_CONF, 0o600), ("cgroup.conf", CGROUP_CONF, 0o644))
        for name, text, mode in files:
            (self.folder / name).write_text(text.format(**values))
            (self.folder / name).chmod(mode)

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        folder.mkdir()
        (folder / "key").write_bytes(os.urandom(1024))
        (folder / "key").chmod(0o600)
        options: dict[str, Any] = {
            "socket": "socket",
            "key-file": "key",
            "pid-file": "pid",
            "seed-file": "seed",
            "log-file": "log",
        }
        files = [f"--{option}={folder / name}" for option, name in options.items()]
        command = ["munged", "--foreground", "--force", "--num-threads=4", *files]
        self.daemons.start("munged", command, ready=(folder / "socket").exists, timeout=20)

    def _start_sql(self) -> None:
        folder, user = self.folder / "sql", pwd.getpwnam("mysql")
        folder.mkdir()
        self._let_pass(folder)
        shutil.chown(folder, user.pw_uid, user.pw_gid)
        install = ["mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={folder}", "--skip-test-db"]
        done = subprocess.run(install, capture_output=True, text=True, timeout=120, check=False, env=self.env)
        if done.returncode:
            pytest.skip(f"MariaDB cannot be set up: {done.stdout[-300:]}{done.stderr[-300:]}")
        first = self.folder / "first.sql"
        first.write_text(FIRST_SQL)
        first.chmod(0o644)
        options: dict[str, Any] = {
            "datadir": folder,
            "socket": folder / "socket",
            "pid-file": folder / "pid",
            "init-file": first,
        }
        options |= {"port": self.ports["sql"], "bind-address": "127.0.0.1", "skip-name-resolve": 1}
        command = ["mariadbd", "--no-defaults", *[f"--{k}={v}" for k, v in options.items()]]
        self.daemons.start("mariadbd", command, user="mysql", ready=lambda: listens(self.ports["sql"]), timeout=60)

    def _let_pass(self, folder: Path) -> None:
        """Let another user reach a folder whose parents pytest made for its own."""
        for parent in folder.parents:
            if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & stat.S_IXOTH:
                parent.chmod(parent.stat().st_mode | stat.S_IXOTH)

    def start_database(self) -> None:
        """Start the daemon of the accounting's database."""
        self.daemons.start("slurmdbd", ["slurmdbd", "-D"], env=self.env, ready=lambda: listens(self.ports["dbd"]))

    def _add_accounts(self) -> None:
        accounts = (("cluster", "test"), ("account", "default", "cluster=test"), ("user", "root", "account=default"))
        for what in accounts:
            self.call("sacctmgr", "-i", "add", *what)
        if "default" not in self.call("sacctmgr", "-n", "list", "account", check=False):
            pytest.skip(f"accounting does not start: {self.daemons.tail('slurmdbd')}")

    def start_controller(self) -> None:
        self.daemons.start("slurmctld", ["slurmctld", "-D"], env=self.env, ready=self.answers)

    def answers(self) -> bool:
        """Whether the controller listens."""
        return listens(self.ports["ctld"])

    def start_node(self, node: str) -> None:
        self.daemons.start(
            f"slurmd.{node}", ["slurmd", "-D", "-N", node], env=self.env, ready=lambda: listens(self.ports[node])
        )

    # ---- what is asked of it -----------------------------------------------------------------------------------------------

    def node_state(self, node: str) -> str:
        """Return a node's state with all that is added to it: ``idle``, ``down*+drain``."""
        words = self.call("scontrol", "--oneliner", "show", "node", node, check=False).split()
        return next((word.partition("=")[2].lower() for word in words if word.startswith("State=")), "")

    def jobs(self, state: str = "RUNNING", partition: str = "main") -> list[str]:
        """Return the ids of jobs in a state; an array's tasks each by themselves."""
        return self.call("squeue", "-h", "-r", "-p", partition, "-t", state, "-o", "%i", check=False).split()

    def ended(self) -> dict[str, str]:
        """Return the state of every job, by its id, as accounting has it; the latest of a job that was requeued."""
        lines = self.call("sacct", "-X", "-n", "-P", "-o", "jobid,state", check=False).splitlines()
        return dict(line.split("|")[:2] for line in lines)

    def calls(self) -> list[Call]:
        """Return the calls of Slurm's commands so far, by heads and by jobs, not by the test."""
        return read_calls(self.folder / "calls")

    def steps(self, node: str = "") -> list[int]:
        """Return the process ids of the daemons that watch a job's steps, of one node or of all."""
        logs = {f"slurmd.{name}.log" for name in self.nodes if node in {"", name}}
        daemons = {process.pid for process in self.daemons.processes.values()}
        pids = [pid for pid in marked(self.folder) if logs.intersection(opened(pid, self.folder / "logs"))]
        return [pid for pid in pids if pid not in daemons]


def can_make_groups() -> bool:
    """Whether this process may make control groups of the kind that this Slurm uses without systemd."""
    place = MEMORY_GROUPS / f"connectomake-test-{os.getpid()}"
    try:
        place.mkdir()
        return (place / "memory.limit_in_bytes").exists()
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            place.rmdir()


def remove_groups(place: Path) -> None:
    """Remove a control group and those below it."""
    below = sorted((path for path in place.rglob("*") if path.is_dir()), reverse=True) if place.exists() else []
    for path in (*below, place):
        with contextlib.suppress(OSError):
            path.rmdir()


def free_names() -> tuple[tuple[str, str], IO[str]]:
    """Names of two nodes that no other test on this machine has now, and the open file that keeps them: by its node's name
    Slurm names the control groups of a job."""
    for number in range(1, 200, 2):
        lock = Path(f"/var/lock/connectomake-test-n{number}").open("w")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return (f"n{number}", f"n{number + 1}"), lock
    raise AssertionError("a hundred clusters on one machine")
