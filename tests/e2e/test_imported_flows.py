"""A typebot is imported, published and run: the chat is the one that Typebot would have had."""

from tests.e2e.test_flow_tests import installed
from tests.shared.flows.imports.typebots import fixture


async def test_an_imported_typebot_chats_as_before(postgres_dsn: str, redis_url: str) -> None:
    """A choice with an edge of its own leads back to the question, an invalid number is asked for again, and the total
    decides which message is sent."""
    async with installed(postgres_dsn, redis_url) as api:
        assert (await api.put("/channels/zap", {"type": "console"})).status == 200
        imported = (await api.post("/flows/import", {"from": "typebot", "document": fixture("typebot-v5")})).data
        assert imported["errors"] == []
        stored = await api.put(f"/flows/{imported['flowId']}", imported["definition"])
        assert (stored.status, stored.data["published"]) == (200, True)
        replies = ["mussarela", "Calabresa", "muitas", "2"]
        given = {"conversation": {"contact": "5511", "channel": "zap", "text": "oi"}, "replies": replies}
        small = (await api.post(f"/flows/{imported['flowId']}/test", given)).data
        question = "Qual sabor?\n[Calabresa] [Mussarela]"
        assert [(line["sender"], line["text"]) for line in small["chat"]] == [
            ("contact", "oi"),
            ("flow", "Bem-vindo à Pizzaria!"),
            ("flow", question),
            ("contact", "mussarela"),
            ("flow", "A mussarela acabou."),
            ("flow", question),
            ("contact", "Calabresa"),
            ("flow", "Quantas pizzas de Calabresa?"),
            ("contact", "muitas"),
            ("flow", "Quantas pizzas de Calabresa?"),
            ("contact", "2"),
            ("flow", "O total é R$ 80."),
            ("flow", "Obrigado, até já!"),
        ]
        assert (small["status"], small["vars"]) == ("succeeded", {"sabor": "Calabresa", "quantidade": 2, "total": 80})
        large = (await api.post(f"/flows/{imported['flowId']}/test", given | {"replies": ["1", "5"]})).data
        assert [line["text"] for line in large["chat"]][-2:] == [
            "*Pedido grande: R$ 200, com frete grátis!*",
            "Obrigado, até já!",
        ]
