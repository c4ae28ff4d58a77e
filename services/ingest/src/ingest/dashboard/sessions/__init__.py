"""Sessions of the dashboard: cookie, sign-in and sign-out, CSRF, origin of requests, security headers.

How `application` composes them, in this order:

    sessions = Sessions(access, secret_key)
    page = SignInPage(sessions, access, render, first_page=partial(newest_demo_execution, history.execution_search))
    dashboard = web.Application(middlewares=[
        security_headers,                      # outermost
        …                                      # pages for errors: HTTPException with a text for the user, ApiProblem
        origin_middleware(access),             # 403; sets request[REQUEST_ORIGIN]
        session_middleware(sessions, access),  # 303 to the sign-in form, or 401; sets request[SIGNED_IN]
        csrf_middleware(),                     # 403; sets request[FORM] for each POST
    ])
    dashboard.add_routes(page.routes())        # before add_subapp("/dashboard", dashboard)

What a page uses:

| name | meaning |
|---|---|
| `request[SIGNED_IN]` | `SignedIn(client, csrf, is_insecure, session)`; on the sign-in page only with a valid session |
| `request[FORM]` | the fields of a POST's form: a multidict, at most 1,000 fields and 6 MiB |
| `<input type="hidden" name="csrf" value="{{ signed_in.csrf }}">` | in every form with method post |
| `sessions.client_of(signed_in.session)` | None once the session has ended: a stream checks it now and then |
| `HEADERS` | for a stream, whose headers are sent before its handler returns |

`access.background()` must be running. Static files are in `/dashboard/static/` and need no session; their handler sets
its own `Cache-Control`.
"""
