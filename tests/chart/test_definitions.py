"""The custom resource definitions: plain files, rendered whole, kept on uninstall."""

from pathlib import Path

import pytest
import yaml

from chart.rendering import SHIPPED_CRDS, Chart, Manifest, RefusedError, Values

DEFINITIONS = tuple(sorted((Path(__file__).parent / "definitions").glob("*.yaml")))
KEEP = "helm.sh/resource-policy"


def read(file: Path) -> Manifest:
    return yaml.safe_load(file.read_text())


@pytest.mark.parametrize("file", [*SHIPPED_CRDS, *DEFINITIONS], ids=lambda file: file.stem)
def test_a_definition_is_rendered_as_its_file_has_it(
    chart_with_definitions: Chart, file: Path
) -> None:
    source = read(file)
    name = source["metadata"]["name"]
    rendered = chart_with_definitions.render().named("CustomResourceDefinition", name)
    assert rendered["spec"] == source["spec"]
    own = source["metadata"]
    assert own.get("annotations", {}).items() <= rendered["metadata"]["annotations"].items()
    assert own.get("labels", {}).items() <= rendered["metadata"]["labels"].items()


def test_every_file_is_rendered_and_nothing_else(chart_with_definitions: Chart) -> None:
    rendered = chart_with_definitions.render().of("CustomResourceDefinition")
    names = {item["metadata"]["name"] for item in rendered}
    assert names == {read(file)["metadata"]["name"] for file in (*SHIPPED_CRDS, *DEFINITIONS)}


def test_a_definition_carries_the_labels_of_the_release(chart_with_definitions: Chart) -> None:
    for rendered in chart_with_definitions.render().of("CustomResourceDefinition"):
        labels = rendered["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/instance"] == "isola"


@pytest.mark.parametrize(
    ("values", "policy"),
    [
        pytest.param({}, "keep", id="default"),
        pytest.param({"crds": {"keep": False}}, None, id="switched off"),
    ],
)
def test_a_definition_is_kept_on_uninstall_unless_that_is_switched_off(
    chart_with_definitions: Chart, values: Values, policy: str | None
) -> None:
    definitions = chart_with_definitions.render(values).of("CustomResourceDefinition")
    assert definitions
    for rendered in definitions:
        assert rendered["metadata"].get("annotations", {}).get(KEEP) == policy


def test_definitions_can_be_left_to_somebody_else(chart_with_definitions: Chart) -> None:
    rendered = chart_with_definitions.render({"crds": {"enabled": False}})
    assert rendered.of("CustomResourceDefinition") == []
    assert rendered.of("Deployment")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("kind: ConfigMap", "it is of another kind", id="another kind"),
        pytest.param("kind: [", "does not hold one CustomResourceDefinition", id="not YAML"),
    ],
)
def test_a_file_that_is_no_definition_is_refused_by_name(
    chart_with_definitions: Chart, text: str, complaint: str
) -> None:
    stray = chart_with_definitions.folder / "files" / "crds" / "stray.yaml"
    stray.write_text(text)
    try:
        with pytest.raises(RefusedError, match=complaint) as refused:
            chart_with_definitions.render()
    finally:
        stray.unlink()
    assert "files/crds/stray.yaml" in str(refused.value)


def test_helm_does_not_see_a_folder_that_it_never_upgrades(chart: Chart) -> None:
    assert not (chart.folder / "crds").exists()
