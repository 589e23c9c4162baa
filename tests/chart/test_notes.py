"""The last thing an installation says."""

from chart.rendering import Chart


def test_the_notes_give_the_next_commands_with_the_names_of_this_release(chart: Chart) -> None:
    notes = chart.notes({"sandboxNamespace": {"name": "elsewhere"}})
    assert "kubectl -n isola-system port-forward service/isola-api-gateway 8080:80" in notes
    assert "curl http://localhost:8080/v1/sandboxes" in notes
    assert "kubectl -n elsewhere get sandboxes" in notes


def test_the_notes_warn_that_nobody_is_asked_who_they_are(chart: Chart) -> None:
    assert "Nothing authenticates callers of the gateway" in chart.notes()


def test_the_notes_warn_when_uninstalling_will_delete_sandboxes(chart: Chart) -> None:
    warning = "Uninstalling this release deletes the namespace isola-sandboxes"
    assert warning in chart.notes({"sandboxNamespace": {"create": True}})
    assert warning not in chart.notes()


def test_without_the_gateway_the_notes_do_not_lead_to_it(chart: Chart) -> None:
    notes = chart.notes({"apiGateway": {"enabled": False}})
    assert "port-forward" not in notes
    assert "kubectl -n isola-sandboxes get sandboxes" in notes


def test_the_notes_say_what_to_do_before_the_operator_goes(chart: Chart) -> None:
    for resource in ("sandboxes", "rootfssnapshots"):
        assert f"kubectl -n isola-sandboxes delete {resource} --all" in chart.notes()


def test_the_notes_say_what_is_open_without_the_policies(chart: Chart) -> None:
    warning = "policies that open the network"
    assert warning in chart.notes({"admissionPolicies": {"enabled": False}})
    assert warning not in chart.notes()
