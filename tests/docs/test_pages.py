"""What every page of the documentation keeps to, and that the site builds."""

import re
import subprocess
import sys

import pytest

from scripts import docs_results
from tests.support.places import ROOT
from tests.support.words import retired

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
BY_HAND = [page for page in PAGES if "<!-- Made by scripts/" not in page.read_text(encoding="utf-8")]
DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
IDS = {page: str(page.relative_to(ROOT)) for page in PAGES}


def prose(text: str) -> str:
    """Return a page without its code blocks and tables."""
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join(line for line in text.splitlines() if not line.startswith("|"))


@pytest.mark.parametrize("page", PAGES, ids=IDS.get)
def test_a_page_is_short_enough_to_read(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300
    long = [line for line in lines if len(line) > 100 and not line.startswith("|")]
    assert long == []


@pytest.mark.parametrize("page", BY_HAND, ids=IDS.get)
def test_paragraphs_have_at_most_five_lines(page):
    for paragraph in re.split(r"\n\s*\n", prose(page.read_text(encoding="utf-8"))):
        for item in re.split(r"\n(?=\s*(?:-|\d+\.) )", paragraph):
            assert len(item.strip().splitlines()) <= 5, item


@pytest.mark.parametrize("page", PAGES, ids=IDS.get)
def test_a_page_has_none_of_the_retired_words(page):
    text = page.read_text(encoding="utf-8").replace("rival` (number)", "")  # a key of report.json
    assert list(retired(text)) == []


def test_configs_have_none_of_the_retired_words():
    for path in (ROOT / "configs").rglob("*.*"):
        assert list(retired(path.read_text(encoding="utf-8"))) == [], path


def test_the_readme_is_read_in_two_minutes():
    text = README.read_text(encoding="utf-8")
    assert len(text.encode()) <= 10_000
    assert len(text.splitlines()) <= 200
    first_block = re.search(r"```bash\n(.*?)```", text, re.DOTALL)
    assert first_block is not None
    commands = [line.split()[0] for line in first_block[1].splitlines()]
    assert commands == ["scripts/demo", "scripts/test"]


def test_the_readme_cites_the_version_of_the_package():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert f"version = {{{version[1]}}}" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=IDS.get)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_recipes_name_files_that_exist():
    text = (ROOT / "docs/contributing.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:mlc|tests|scripts|docs|configs)/[^` ]*)`", text))
    assert [path for path in sorted(named) if "NAME" not in path and not (ROOT / path).exists()] == []


def test_decisions_are_numbered_and_have_a_status():
    for number, page in enumerate(DECISIONS, start=1):
        text = page.read_text(encoding="utf-8")
        assert page.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number}. ")
        assert len(text.splitlines()) <= 40
        assert re.search(r"^- Status: (accepted|superseded by \[\d{4}\])", text, re.MULTILINE), page
        assert re.search(r"^- Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE), page


def test_every_result_says_where_it_comes_from():
    for name, result in docs_results.load().items():
        assert {
            "title",
            "lead",
            "command",
            "commit",
            "date",
            "versions",
            "machine",
            "tables",
        } <= result.keys()
        assert re.fullmatch(r"[0-9a-f]{40}", result["commit"]), name
        assert all(one["rows"] for one in result["tables"]), name


def test_the_pages_of_results_are_not_stale():
    for path, text in docs_results.pages(docs_results.load()).items():
        assert path.read_text(encoding="utf-8") == text, "python -m scripts.docs_results --write"


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(https?://[^\"' >]+)", page.read_text()
        )
        assert loaded == [], page
