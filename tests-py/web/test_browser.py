"""In a real browser: a failed run is found, read, retried and seen to end; a keyboard; a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.waiting import wait_until
from web.test_site import ASKS, FLOW, Engine

browser = pytest.importorskip("support.browser")
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(not browser.is_there(), reason=browser.MISSING),
    pytest.mark.xdist_group("browser"),
]

LOOKS = [(size, dark) for size in (browser.WIDE, browser.PHONE) for dark in (False, True)]


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser.browser() as made:
        yield made


@pytest.fixture
def engine(dsn: str) -> Iterator[Engine]:
    made = Engine(dsn)
    yield made
    made.connection.close()


@pytest.fixture
def site(dsn: str, driver: Any) -> Iterator[Any]:
    with browser.Site(dsn) as served:
        browser.look(driver, browser.WIDE)
        served.enter(driver)
        yield served


def click(driver: Any, text: str) -> None:
    """Click on what says that."""
    xpath = " | ".join(f"//{tag}[normalize-space()='{text}']" for tag in ("a", "button", "summary"))
    driver.find_element(By.XPATH, xpath).click()


def says(driver: Any, text: str, what: str = "") -> None:
    def is_said() -> bool:
        try:
            return text in driver.find_element(By.TAG_NAME, "main").text
        except WebDriverException:  # between two pages
            return False

    wait_until(is_said, what=what or f"{text!r} on the page")


def test_a_failed_run_is_read_retried_and_seen_to_end(
    site: Any, driver: Any, engine: Engine
) -> None:
    engine.define({"slug": "short", "steps": [{"name": "charge"}]})
    run_id = engine.one("select quantumflow.start_flow('short')")
    engine.fail("the bank says no <b>")
    driver.get(f"{site.url}/runs?status=failed")
    driver.find_element(By.CSS_SELECTOR, f"a[href='/runs/{run_id}']").click()
    says(driver, "Traceback of the bank says no <b>")
    click(driver, "Retry: see first what would run again")
    click(driver, "Retry the run")
    says(driver, "It is retried")
    says(driver, "Live.")
    assert driver.find_element(By.XPATH, "//button[text()='Pause']").is_displayed()
    engine.work("1")
    says(driver, "It has ended.")
    assert driver.find_element(By.CSS_SELECTOR, "h1 .state").text == "completed"
    assert not driver.find_elements(By.XPATH, "//button[text()='Pause']")


@pytest.mark.long
def test_a_wait_is_approved_and_a_run_paused_by_the_keyboard_alone(
    site: Any, driver: Any, engine: Engine
) -> None:
    engine.define(ASKS)
    run_id = engine.one("select quantumflow.start_flow('asks')")
    driver.get(f"{site.url}/waits")
    driver.find_element(By.NAME, "payload").send_keys(Keys.ENTER)
    says(driver, "The signal is delivered")
    engine.one("select settled from quantumflow.settle()")
    assert engine.status(run_id) == "completed"

    run_id = engine.one("select quantumflow.start_flow('asks')")
    driver.get(f"{site.url}/runs/{run_id}")
    body = driver.switch_to.active_element
    for _ in range(40):
        body.send_keys(Keys.TAB)
        body = driver.switch_to.active_element
        if body.text == "Pause":
            break
    assert body.text == "Pause"
    outline = body.value_of_css_property("outline-style")
    assert outline != "none"
    body.send_keys(Keys.ENTER)
    says(driver, "It is paused")


@pytest.mark.long
def test_nothing_is_run_of_what_a_run_holds(site: Any, driver: Any, engine: Engine) -> None:
    evil = "<script>document.title = 'run'</script><img src=x onerror=\"document.title='run'\">"
    engine.define(FLOW)
    run_id = engine.one("select quantumflow.start_flow('site', to_jsonb(%s::text))", evil)
    engine.fail(evil)
    site.house.forget()
    for path in (f"/runs/{run_id}", f"/runs/{run_id}/steps/list", "/", "/runs"):
        driver.get(f"{site.url}{path}")
        says(driver, "<script>document.title")
        assert driver.title != "run"
    # Nor where what is live is put in.
    engine.one("select status from quantumflow.retry_run(%s)", run_id)
    driver.get(f"{site.url}/runs/{run_id}")
    says(driver, "Live.")
    engine.fail(evil)
    says(driver, "It has ended.")
    assert driver.title != "run"


@pytest.mark.long
def test_two_versions_are_compared(site: Any, driver: Any, engine: Engine) -> None:
    engine.define(ASKS)
    engine.one("select quantumflow.start_flow('asks')")
    engine.define({**ASKS, "title": "Ask"})
    driver.get(f"{site.url}/flows/asks")
    click(driver, "Compare")
    says(driver, "From version 1 to version 2")
    says(driver, "added")


def every_page(engine: Engine) -> list[str]:
    """Something on every page; where they are."""
    engine.define(FLOW)
    engine.define(ASKS)
    failed = engine.one("select quantumflow.start_flow('site')")
    engine.fail("no such thing")
    engine.one("select quantumflow.start_flow('asks', '{\"amount\": 42}')")
    done = engine.one("select quantumflow.start_flow('site')")
    engine.work('["a", "b"]')
    engine.work("1")
    engine.work("1")
    engine.define({**ASKS, "title": "Ask"})
    engine.one("select next_at from quantumflow.schedule_flow('nightly', 'asks', '0 3 * * *')")
    engine.one(
        "select quantumflow.register_worker(gen_random_uuid(), 'me', '{a}', '{quantum_flow_queue}')"
    )
    return [
        "/", "/runs", "/flows", "/flows/site", "/flows/asks/diff?from=1&to=2", "/queues",
        "/workers", "/schedules", "/waits", "/history", f"/runs/{failed}", f"/runs/{done}",
        f"/runs/{failed}/retry", f"/runs/{done}/steps/each",
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_every_page_is_accessible_and_fits(
    site: Any, driver: Any, engine: Engine, size: Any, dark: bool
) -> None:
    if not browser.AXE.exists():
        pytest.skip("there is no axe-core: make .cache/axe/axe.min.js")
    found = {}
    for path in every_page(engine):
        browser.look(driver, size, dark=dark)
        driver.get(f"{site.url}{path}")
        wrong = browser.problems(driver)
        if (wide := browser.sideways(driver)) > 0:
            wrong.append(f"it is {wide} pixels wider than the screen")
        said = [entry["message"] for entry in driver.get_log("browser")]
        wrong += [m for m in said if "404" not in m]
        if wrong:
            found[path] = wrong
    assert found == {}
