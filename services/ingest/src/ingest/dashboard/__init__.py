"""The dashboard: pages over the functions of the API, in the process of the operators.

| question | module |
|---|---|
| Which pages are there, and what runs around each of them? | `application` |
| What does the handler of a page receive and return? | `page_types` |
| How does a page call the API? | `api_calls` |
| How are times, numbers, states and texts shown? | `presentation` |
| Where are the pages themselves? | `pages`, with one folder of `templates` each |
"""
