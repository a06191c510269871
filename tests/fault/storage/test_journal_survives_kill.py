"""What was answered is there after kill -9, with a real process, a real disk and the real core.

Goal: no answered publish is lost and none is doubled. Method: a process publishes one message after
another through a core with an SQLite journal and prints each number when it is answered; it is
killed at some moment in between; then a core is started on the same directory, and must hold every
answered message, in order, and at most the few that were not answered yet. Repeated on the same
directory, so that each start recovers from the crash before.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.support.core_rig import Rig, contents, delivered, transmitted
from tests.support.core_values import NAMESPACE, site_config, subscription
from wavemq.routing.events import FrameAccepted, UplinkConnected
from wavemq.storage.sqlite_journal import SqliteJournal
from wavemq.storage.sqlite_retained import SqliteRetained

ROUNDS = 4
IN_FLIGHT = 8
ANSWERED_BEFORE_KILL = 150
ROOT = Path(__file__).parents[3]

PUBLISHER = """
import sys
from pathlib import Path
from tests.support.core_rig import Rig, all_of
from tests.support.core_values import message, site_config, subscription
from wavemq.routing.effects import Reply
from wavemq.routing.events import MessagePublished, RequestId
from wavemq.storage.sqlite_journal import SqliteJournal
from wavemq.storage.sqlite_retained import SqliteRetained

directory, first, in_flight = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rig = Rig(site_config(), SqliteJournal(directory), SqliteRetained(directory))
rig.subscribe(subscription("a/*", expiry_s=3600))
print("ready", flush=True)
number = first
while True:
    batch = range(number, number + in_flight)
    number += in_flight
    effects = rig.run(*(
        MessagePublished(RequestId(one), message(f"a/{one % 7}", b"%d" % one)) for one in batch
    ))
    for reply in all_of(Reply, effects):
        assert reply.error is None
        print(reply.request, flush=True)
"""


def publish_and_kill(directory: Path, first: int) -> list[int]:
    """Return the numbers that were answered."""
    command = [sys.executable, "-c", PUBLISHER, str(directory), str(first), str(IN_FLIGHT)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as publisher:
        assert publisher.stdout is not None
        assert publisher.stdout.readline() == "ready\n"
        answered = [int(publisher.stdout.readline()) for _ in range(ANSWERED_BEFORE_KILL)]
        publisher.send_signal(signal.SIGKILL)
        # What it printed before it died was answered, too; a torn last line was not.
        rest = publisher.stdout.read()
        answered += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    assert publisher.returncode == -signal.SIGKILL
    return answered


def test_answered_messages_survive_kill_9_in_order_and_once(tmp_path: Path) -> None:
    answered: list[int] = []
    for _ in range(ROUNDS):
        answered += publish_and_kill(tmp_path, first=answered[-1] + 1000 if answered else 1)
    journal, retained = SqliteJournal(tmp_path), SqliteRetained(tmp_path)
    rig = Rig(site_config(uplink_window=10_000), journal, retained)
    queue = rig.subscribe(subscription("a/*", expiry_s=3600))
    _, effects = rig.attach(queue, credit=10_000)
    kept = [int(content) for content in contents(delivered(effects))]
    assert kept == sorted(set(kept)), "in order, and each once"
    assert set(answered) <= set(kept)
    assert len(kept) <= len(answered) + ROUNDS * IN_FLIGHT, "nothing comes from nowhere"
    assert rig.router.statistics().corrupt_count == 0
    assert rig.router.statistics().queued_messages == 2 * len(kept)
    gone_up, frames = list[int](), transmitted(rig.run(UplinkConnected(NAMESPACE)))
    while frames:
        gone_up += map(int, contents(frames))
        frames = transmitted(rig.run(*(FrameAccepted(NAMESPACE, one.place) for one in frames)))
    assert gone_up == kept
    journal.close()
    retained.close()
