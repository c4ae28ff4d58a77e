"""The page of the doctor: findings with their evidence, repairs, and why one object waits."""

from filas.doctor.stores import DoctorSettings
from ingest.event.event_jobs import job_of_event
from tests.ingest.api.seeding import delayed_job
from tests.ingest.dashboard.browsing import Browser
from tests.shared.repository import builders


async def test_findings_have_evidence_and_a_remedy(browser: Browser) -> None:
    assert (await browser.api.post("/queue/flow/pause")).status == 200
    page = await browser.open("/doctor")
    for text in ("A queue is paused", "the queue flow-processing is paused", "filas queues resume flow", "Evidence"):
        assert text in page.text
    assert "/dashboard/queues/flow" in page.links
    assert "What was examined" in page.text
    portuguese = await browser.open("/doctor", headers={"Accept-Language": "pt-BR"})
    for text in (
        "Uma fila está pausada",
        "a fila flow-processing está pausada; 0 jobs à espera",
        "O mais antigo espera",
    ):
        assert text in portuguese.text
    assert "the queue flow-processing" not in portuguese.text


async def test_a_repair_has_its_effect(browser: Browser) -> None:
    """An accepted event without a job gets one."""
    object.__setattr__(browser.api.context, "doctor", DoctorSettings(unfinished_s=0.0))
    event = builders.event()
    await browser.api.context.events.insert_many([event])
    page = await browser.open("/doctor")
    assert "Events are on no queue" in page.text
    page = await browser.submit(page, "/dashboard/doctor/repair")
    assert "Repaired: 1" in page.text
    assert await browser.api.redis.command("EXISTS", f"arq:job:{job_of_event(event).job_id}") == 1


async def test_a_viewer_sees_no_repair(viewer: Browser) -> None:
    object.__setattr__(viewer.api.context, "doctor", DoctorSettings(unfinished_s=0.0))
    await viewer.api.context.events.insert_many([builders.event()])
    page = await viewer.open("/doctor")
    assert "Events are on no queue" in page.text
    assert "/dashboard/doctor/repair" not in {form.action for form in page.forms}
    assert "your role is viewer" in page.text
    await viewer.post("/doctor/repair", status=403)


async def test_why_one_object_waits(browser: Browser) -> None:
    await delayed_job(browser.api, "later")
    assert (await browser.api.put("/channels/sms", {"type": "console"})).status == 200
    page = await browser.open("/doctor?job=later")
    assert "Why:" in page.text
    assert "Why:" in (await browser.open("/doctor?channel=sms")).text
    portuguese = await browser.open("/doctor?job=later", headers={"Accept-Language": "pt-BR"})
    assert "nenhum ingest-worker está em execução" in portuguese.text
    assert "no object" in (await browser.open("/doctor?id=nothing")).text


async def test_a_hostile_name_is_text(browser: Browser) -> None:
    page = await browser.open("/doctor?id=%3Cscript%3Ealert(1)%3C/script%3E%00%E2%80%AE")
    assert "<script>alert" not in page.html
