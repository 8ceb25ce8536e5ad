from __future__ import annotations

import datetime as dt
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from reports import canary, junit, results, waivers
from reports.runs import JUNIT, SUMMARY
from reports.verdicts import ExitCode
from tests.reports import samples

DOCS = Path(__file__).parents[2] / "docs"
PIPELINES = sorted((DOCS / "pipelines").iterdir())


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_a_sample_pipeline_runs_the_suite_and_keeps_its_reports(path: Path) -> None:
    """Each sample runs the documented command with a history and collects the files that a run really writes."""
    text = path.read_text(encoding="utf-8")

    assert "./run conformance -- --history nights.ndjson" in text
    assert JUNIT in text or SUMMARY in text


@pytest.mark.parametrize("path", [path for path in PIPELINES if path.suffix == ".yml"], ids=lambda path: path.name)
def test_a_sample_pipeline_is_yaml(path: Path) -> None:
    """A sample can be copied as it stands."""
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


def test_no_sample_uses_an_engine_of_another_container() -> None:
    """Docker-in-docker cannot carry a lab: no sample has it as a service or names another machine's engine."""
    gitlab = yaml.safe_load((DOCS / "pipelines" / "gitlab-ci.yml").read_text(encoding="utf-8"))["conformance"]

    assert "services" not in gitlab
    assert "DOCKER_HOST" not in gitlab["variables"]


def test_a_sample_shows_and_archives_this_night_only() -> None:
    """One small file of earlier nights stays; runs are not archived again, nor shown for a night that was refused."""
    folder = DOCS / "pipelines"
    gitlab = yaml.safe_load((folder / "gitlab-ci.yml").read_text(encoding="utf-8"))["conformance"]
    steps = yaml.safe_load((folder / "github-actions.yml").read_text(encoding="utf-8"))["jobs"]["nightly"]["steps"]
    uploaded = [step["with"]["path"] for step in steps if "upload-artifact" in step.get("uses", "")]
    jenkins = (folder / "Jenkinsfile").read_text(encoding="utf-8")

    assert gitlab["artifacts"]["paths"] == ["tonight"]
    assert gitlab["artifacts"]["reports"] == {"junit": "tonight/junit.xml"}
    assert uploaded == ["${{ steps.tonight.outputs.run }}"]
    assert re.findall("artifacts: '(.*?)'", jenkins) == ["reports/latest/**"]
    assert "nights.ndjson" in gitlab["cache"]["paths"]
    assert all("nights.ndjson" in step["with"]["path"] for step in steps if "actions/cache" in step.get("uses", ""))
    assert gitlab["script"][0].startswith("rm -rf reports/latest tonight")
    assert jenkins.index("rm -rf reports/latest") < jenkins.index("./run conformance")


def test_gitlab_finds_the_attachments_of_tonight(tmp_path: Path) -> None:
    """A case's attachments are named by the path at which the job's artifacts have them."""
    gitlab = yaml.safe_load((DOCS / "pipelines" / "gitlab-ci.yml").read_text(encoding="utf-8"))["conformance"]
    (tmp_path / "tonight").mkdir()
    shown = tmp_path / "tonight" / "junit.xml"
    shown.write_bytes(junit.render(results.of((samples.started(), samples.failing(), samples.finished()))))
    subprocess.run(["bash", "-ec", gitlab["after_script"][-1]], cwd=tmp_path, check=True)

    assert "[[ATTACHMENT|tonight/attachments/edge-1/journal.txt]]" in shown.read_text(encoding="utf-8")


def test_exit_codes_in_the_samples_mean_what_they_say() -> None:
    """Jenkins tells findings from nights without a verdict, GitLab repeats a night without infrastructure."""
    jenkins, gitlab = (DOCS / "pipelines" / name for name in ("Jenkinsfile", "gitlab-ci.yml"))

    assert f"code in [{ExitCode.FAIL.value}, {ExitCode.FIXED.value}]" in jenkins.read_text(encoding="utf-8")
    assert yaml.safe_load(gitlab.read_text(encoding="utf-8"))["conformance"]["retry"]["exit_codes"] == [ExitCode.DEAD]


def test_the_waiver_in_the_documentation_is_a_good_one(tmp_path: Path) -> None:
    """The record that the documentation shows can be copied and is accepted."""
    shown = re.search(r"```yaml\n(known_issues:.*?)```", (DOCS / "reports.md").read_text(encoding="utf-8"), re.DOTALL)
    assert shown
    (tmp_path / "known_issues.yaml").write_text(shown[1], encoding="utf-8")

    found = waivers.load(tmp_path / "known_issues.yaml", {"CRED-04"}, today=dt.date(2026, 11, 22))
    assert [waiver.id for waiver in found] == ["PE-3568"]


def test_the_documentation_lists_the_forms_that_the_leak_gate_searches() -> None:
    """Nothing is promised that is not searched, and nothing searched is left unsaid."""
    shown = re.search(r"<!-- forms -->\n(.*?)<!-- /forms -->", (DOCS / "reports.md").read_text("utf-8"), re.DOTALL)

    assert shown
    assert shown[1].splitlines() == [f"- {form}" for form in dict.fromkeys(form for form, _ in canary.forms("x-1é"))]
