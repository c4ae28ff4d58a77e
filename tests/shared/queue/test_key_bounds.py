"""Every family of keys in Redis is bounded: by a time to live, by what is in the queue, or by a fixed number."""

import re
from pathlib import Path
from typing import Final

import ingest
from filas.queue.redis_client import queue_keys

BOUNDS: Final = {
    "<queue>": "the jobs in the queue",
    "{q}:active": "the claimed jobs",
    "{q}:wake": "one token",
    "{q}:dead": "dead letters, until a worker has written them to Postgres",
    "{q}:heads": "the groups with jobs",
    "{q}:grouped": "the jobs with a group",
    "{q}:group:<group>": "the jobs of the group",
    "{q}:lost": "the jobs that have lost a lease and have not ended",
    "{q}:completed": "minutes within retention (stats.lua)",
    "{q}:failed": "minutes within retention (stats.lua)",
    "{q}:counts": "three fields",
    "{q}:ring:<state>": "a fixed number of records (LTRIM in finish.lua)",
    "{q}:last": "one number",
    "{q}:fence": "one number",
    "{q}:epoch": "one text",
    "{q}:waiting": "one number",
    "{q}:held": "the jobs that are enqueued while a worker restores the queue",
    "{q}:restoring": "one text",
    "{q}:restorer": "a time to live",
    "{q}:newer": "the jobs that wait for a newer worker, at most a day",
    "{q}:sweep": "a time to live",
    "{q}:workers": "the live workers (beat.lua)",
    "{q}:abort": "the cancelled jobs that have not ended",
    "{q}:cancelled": "the cancelled jobs whose cancel is still in Postgres",
    "{q}:cancels": "a time to live",
    "{q}:destination:<id>": "a time to live (report.lua)",
    "{q}:destination:<id>:…": "a time to live (admit.lua)",
    "arq:job:<id>": "a time to live (enqueue.lua, finish.lua)",
    "arq:in-progress:<id>": "a time to live: the lease",
    "arq:retry:<id>": "a time to live (finish.lua)",
    "arq:result:<id>": "a time to live (finish.lua)",
    "arq:history:<id>": "a time to live (finish.lua)",
}
"""What bounds each family of `filas.queue.redis_client.queue_keys`."""

OTHER_BOUNDS: Final = {
    "filas:dashboard": "a time to live, and a fixed number of moments (dashboard/live/moments.py)",
    "filas-rate": "a time to live (rate_limit.lua)",
    "filas:untrusted-proxy": "a time to live (untrusted_proxies.py)",
}
"""The families of ingest."""

SCRIPTS: Final = Path(queue_keys.__file__).parent.parent / "lua"


def test_each_family_of_keys_has_a_bound() -> None:
    """A family that is added needs a line here, with what keeps it from growing."""
    rows = re.findall(r"^\| (`[^|]*) *\|", queue_keys.__doc__ or "", re.MULTILINE)
    families = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert {name for name in families if name != "key"} == BOUNDS.keys()


def test_a_bound_names_a_script_that_sets_it() -> None:
    """The script expires, trims or deletes."""
    for bound in BOUNDS.values():
        for script in re.findall(r"\w+\.lua", bound):
            assert re.search(r"PEXPIRE|'PX'|LTRIM|HDEL", (SCRIPTS / script).read_text()), (bound, script)


def test_the_keys_of_ingest_are_known() -> None:
    """Each of them expires."""
    source = Path(ingest.__file__).parent
    text = "\n".join(path.read_text() for path in source.rglob("*.py") if "cli" not in path.parts)
    found = set(re.findall(r"\{(filas-[a-z]+)\}", text)) | set(re.findall(r'"(filas:[a-z-]+)', text))
    assert found == OTHER_BOUNDS.keys()
