"""A Slurm of one's own: munge, MariaDB, slurmdbd, slurmctld and two slurmd nodes on one host, on loopback, all real.

Everything lies in one temporary folder; nothing of the machine's own Slurm, if it has one, is touched.
"""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

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
TaskPlugin=task/none
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
MaxArraySize=1001
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge/socket
AccountingStorageEnforce=associations
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1} CPUs={cpus} RealMemory={memory}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n2} CPUs={cpus} RealMemory={memory}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
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
NODES = ("n1", "n2")


class SlurmCluster:
    """The daemons and what tests do to them; use as a context manager.

    Parameters
    ----------
    folder
        For everything; short, as it holds sockets.
    cpus, memory
        Of each node; memory in MB.
    """

    def __init__(self, folder: Path, cpus: int = 2, memory: int = 8000) -> None:
        require(*PACKAGES)
        self.folder, self.cpus, self.memory = folder, cpus, memory
        self.daemons = Daemons(folder)
        self.host = socket.gethostname().split(".")[0]
        self.ports = {name: free_port() for name in ("ctld", "dbd", "sql", *NODES)}

    def __enter__(self) -> "SlurmCluster":
        try:
            self._start()
        except BaseException:
            self.daemons.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.daemons.stop()
        shutil.rmtree(self.folder / "sql", ignore_errors=True)

    @property
    def env(self) -> dict[str, str]:
        """Environment of a process that uses the cluster."""
        path = os.pathsep.join((str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]))
        return os.environ | self.daemons.mark | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def call(self, *command: str, check: bool = True) -> str:
        """Run one of Slurm's commands and return what it printed."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    # ---- start -------------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        values = {"folder": self.folder, "host": self.host, "cpus": self.cpus, "memory": self.memory, **self.ports}
        for name, text, mode in (("slurm.conf", CONF, 0o644), ("slurmdbd.conf", DBD_CONF, 0o600)):
            (self.folder / name).write_text(text.format(**values))
            (self.folder / name).chmod(mode)
        (self.folder / "state").mkdir()
        self._wrap_srun()
        self._start_munge()
        self._start_sql()
        self._start_accounting()
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        if not wait(lambda: all(self.node_state(n).startswith("idle") for n in NODES), 60):
            pytest.skip(f"the nodes do not get idle: {self.call('sinfo', check=False)}")

    def _wrap_srun(self) -> None:
        """The executor's job step drops SLURM_CONF before it calls srun, which then looks in /etc/slurm: not ours."""
        script = self.folder / "bin" / "srun"
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        script.chmod(0o755)

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        folder.mkdir()
        (folder / "key").write_bytes(os.urandom(1024))
        (folder / "key").chmod(0o600)
        options = {"socket": "socket", "key-file": "key", "pid-file": "pid", "seed-file": "seed", "log-file": "log"}
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
        options = {"datadir": folder, "socket": folder / "socket", "pid-file": folder / "pid", "init-file": first}
        options |= {"port": self.ports["sql"], "bind-address": "127.0.0.1", "skip-name-resolve": 1}
        command = ["mariadbd", "--no-defaults", *[f"--{k}={v}" for k, v in options.items()]]
        self.daemons.start("mariadbd", command, user="mysql", ready=lambda: listens(self.ports["sql"]), timeout=60)

    def _let_pass(self, folder: Path) -> None:
        """Let another user reach a folder whose parents pytest made for its own."""
        for parent in folder.parents:
            if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & stat.S_IXOTH:
                parent.chmod(parent.stat().st_mode | stat.S_IXOTH)

    def _start_accounting(self) -> None:
        self.daemons.start("slurmdbd", ["slurmdbd", "-D"], env=self.env, ready=lambda: listens(self.ports["dbd"]))
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

    # ---- faults ------------------------------------------------------------------------------------------------------------

    def node_state(self, node: str) -> str:
        return self.call("sinfo", "-h", "-n", node, "-o", "%T", check=False).strip()

    def fail_node(self, node: str) -> None:
        """Let a node die at once, with all that runs on it."""
        self.daemons.kill(f"slurmd.{node}")
        for pid in self.steps(node):
            os.kill(pid, signal.SIGKILL)

    def jobs(self, state: str = "RUNNING") -> list[str]:
        """Return the ids of jobs in a state."""
        return self.call("squeue", "-h", "-t", state, "-o", "%i", check=False).split()

    def scancel(self, job: str) -> None:
        self.call("scancel", job, check=False)

    def steps(self, node: str = "") -> list[int]:
        """Return the process ids of the daemons that watch a job's steps, of one node or of all."""
        logs = {f"slurmd.{name}.log" for name in NODES if node in {"", name}}
        daemons = {process.pid for process in self.daemons.processes.values()}
        pids = [pid for pid in marked(self.folder) if logs.intersection(opened(pid, self.folder / "logs"))]
        return [pid for pid in pids if pid not in daemons]
