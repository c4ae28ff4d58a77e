"""Forms for definitions (webhooks, channels, schedules, alerts). They work without JavaScript.

A description becomes HTML, and a submitted form becomes the JSON body of the API.

A page describes its form once, with the texts of one section of the catalogue:

    FORM = DefinitionForm("alert-fields", (
        Group("rule", (Text("id"), Choice("metric", METRICS, words="alert-metrics"), Number("threshold", whole=False))),
        Group("timing", (Duration("windowMs"), Checkbox("enabled", default=True)), advanced=True),
        Group("quiet-hours", (Text("quietHours.from"), Text("quietHours.until")), path="quietHours"),
        Group("to", (Rows("to", (Text("channel"), Text("to"))),)),
    ))

| text of the section (`rateLimit.max`) | what it is |
|---|---|
| `rate-limit-max` | the label of the field; of a column of rows `to`: `to-channel` |
| `rate-limit-max-help` | one sentence below it; may be missing |
| `group-NAME`, `group-NAME-help` | the heading of a group; a sentence below it, which may be missing |

Showing, and saving:

    view = FORM.show(call.reader, stored)            # `stored`: the answer of the API, or the values of a preset
    view = FORM.read(call.reader, call.form, stored) # a POST; unknown fields of `stored` are kept in `view.body`
    if not view.is_complete:                         # a row was asked for, or a field cannot be read
        return call.render("alerts/edit.html", status=view.status, form=view)
    try:
        await call.api.call("putAlert", path={"id": …}, body=view.body)
    except ApiProblem as problem:
        if problem.status in (403, 404):
            raise
        view = view.with_problem(problem)            # each error goes to its field, the others to the top
        return call.render("alerts/edit.html", status=problem.status, form=view)
    return call.done("alerts.saved", …)

The template imports `macros/forms.html`:

    {% import "macros/forms.html" as forms with context %}
    {% block head %}{{ forms.script() }}{% endblock %}
    {{ forms.definition(form, "/dashboard/alerts/failing-flow", t("alerts.save")) }}

A field that is blank is absent in the body, so the API uses its default. `default` is what the form shows then. Within
an object (`quietHours.timezone`), a field that has its default is absent too, so that an object of which only
defaults are left is absent. A secret is never shown: a blank one keeps the stored one. `view.choice` is the button that
was pressed: `save`, or what a further button has as its value (`forms.definition` takes further buttons as its caller).
`view.pressed("again")` is whether the form only has to be shown again, for example after another type was chosen.
"""
