"""Comments of customers: what is each of them about?"""

import numpy as np
import polars as pl

from mlc.demo.rows.generated import Generated, Topic, drawn, joined_names, spoken, truth_table

TOPICS = {
    "delivery": Topic(
        (
            "The parcel came a week late.",
            "Nobody was home and the courier left it in the rain.",
            "It was delivered to the wrong address.",
            "Tracking still says that it is on its way.",
            "I waited all day for the courier.",
            "Shipping took forever.",
        ),
        ("It took a while.", "I had hoped to have it by Friday.", "The courier called twice."),
    ),
    "refund": Topic(
        (
            "I want my money back.",
            "When will I get my refund?",
            "Please cancel the order and pay it back.",
            "I sent it back and never got my money.",
            "The refund is still missing.",
            "I am returning all of it.",
        ),
        ("I may send it back.", "The return label was in the box.", "I am thinking about a return."),
    ),
    "damaged": Topic(
        (
            "The screen was broken.",
            "It arrived with a crack.",
            "The box was crushed and so was the lamp.",
            "One leg of the table was snapped off.",
            "It stopped working after a day.",
            "The zipper tore at once.",
        ),
        ("It looks a bit worn.", "There is a scratch.", "It makes a strange noise."),
    ),
    "size": Topic(
        (
            "It is far too small.",
            "The trousers are much too long.",
            "I ordered a medium and got something for a child.",
            "The sizes on the page are wrong.",
            "These shoes run two sizes large.",
            "The shelf does not fit the wall, contrary to the measurements.",
        ),
        ("It is a bit tight.", "I usually wear a large.", "My sister could wear it."),
    ),
    "praise": Topic(
        (
            "I love it!",
            "Best purchase of the year.",
            "Great quality, I will buy again.",
            "Everyone asks me where I got it.",
            "Absolutely wonderful.",
            "Five stars from the whole family.",
        ),
        ("It does the job.", "Not bad at all.", "Better than expected."),
    ),
    "price": Topic(
        (
            "Far too expensive for what it is.",
            "It was cheaper the day after.",
            "I was charged twice.",
            "The discount code did not work.",
            "You get the same for half the price elsewhere.",
            "The fees are outrageous.",
        ),
        ("Not cheap.", "I waited for the sale.", "The total was higher than I thought."),
    ),
    "app": Topic(
        (
            "The app crashes when I pay.",
            "I cannot log in any more.",
            "The website froze at the last step.",
            "Your app logged me out and lost my basket.",
            "The search on your page finds nothing.",
            "I never get the code by text message.",
        ),
        ("I ordered by phone in the end.", "The page was slow.", "I had to try three times."),
    ),
    "staff": Topic(
        (
            "The woman at the desk was so helpful.",
            "The man on the phone hung up on me.",
            "Your support answered within minutes.",
            "Nobody in the shop wanted to help.",
            "The agent was rude.",
            "Thank the young man at the till for me.",
        ),
        ("I talked to someone about it.", "I called on Monday.", "They said that they would call back."),
    ),
}
FILLERS = (
    "It was for my niece.",
    "I ordered it on Sunday.",
    "We moved house this spring.",
    "The colour is blue.",
    "My neighbour has the same one.",
    "I have been a customer for years.",
    "It is in the hall now.",
    "We wanted one for the garden.",
    "This is my third review.",
    "The weather was fine that day.",
    "I found it on your page.",
    "It comes in four colours.",
)
SCENARIO = """\
# yaml-language-server: $schema=schema.json
# What is each comment about? One text can have several labels, or none.
# Generated data: the truth is known, so the report also shows the best score that any model could reach.
name: comments
data:
  tables:
    comments: {kind: rows, path: comments.csv, key: comment_id}
target:
  table: comments
  column: topics
  separator: ", "                        # delivery, refund
  class_names: [delivery, refund, damaged, size, praise, price, app, staff]
  true_probabilities: truth.parquet      # generated data only: leave this out with yours
"""


def comments(rows: int, seed: int) -> Generated:
    """Return comments with topics.

    Args:
        rows: How many.
        seed: Another seed gives other comments.
    """
    noise = np.random.default_rng([seed, 1])
    texts, log_odds_NK = spoken(TOPICS, FILLERS, rows, noise)
    labels_NK, probabilities_NK = drawn(log_odds_NK, noise)
    key = pl.Series("comment_id", [f"c{row:06d}" for row in range(rows)])
    table = pl.DataFrame(
        [key, pl.Series("text", texts), pl.Series("topics", joined_names(list(TOPICS), labels_NK, ", "))]
    )
    truth = truth_table(key, list(TOPICS), probabilities_NK)
    return Generated(SCENARIO, {"comments.csv": table, "truth.parquet": truth})
