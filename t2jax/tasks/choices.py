"""The right answer of a multiple-choice row. T2 scores its own likelihood and never looks at the other choices."""

from t2jax.tasks.task import Row, text

LETTERS = 'ABCDE'


def right_choice(row: Row) -> str:
    """Return the text of the right choice of a row in any of the spellings that published files have.

    `choices` as texts and `answer` as an index; `choices` as texts with labels and `answerKey` as one of the labels
    (the datasets' own files, and TFDS, which numbers letters); `correct_answer`; `question` with `choice_A` and so on.
    """
    if 'correct_answer' in row:
        return text(row, 'correct_answer')
    if 'answer' in row:
        return _at(row['choices'], row['answer'])
    key, question = row['answerKey'], row.get('question')
    if isinstance(question, dict) and 'choice_A' in question:
        return text(question, f'choice_{LETTERS[key] if isinstance(key, int) else key}')
    choices = question['choices'] if isinstance(question, dict) else row['choices']
    if isinstance(choices, dict):
        texts, labels = choices['text'], choices['label']
    else:
        texts, labels = [choice['text'] for choice in choices], [choice['label'] for choice in choices]
    return _at(texts, list(labels).index(key))


def stem(row: Row) -> str:
    """Return the question itself."""
    if 'question_stem' in row:
        return text(row, 'question_stem')
    question = row['question']
    return text(question, 'stem') if isinstance(question, dict) else text(row, 'question')


def _at(choices: list[str], index: int) -> str:
    if not isinstance(choices, list) or not 0 <= index < len(choices):
        raise ValueError(f'answer is {index}, and choices are {choices!r:.60}')
    return text({'choice': choices[index]}, 'choice')
