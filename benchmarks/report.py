"""x"""


def text(document):
    return ""


def publish(document):
    return ""
