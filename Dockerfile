# The first command of the README, in a container:
#
#   docker build -t hyprepro .
#   docker run --rm -v "$PWD/runs:/hyprepro/runs" -v "$PWD/.hyprepro:/hyprepro/.hyprepro" hyprepro
#
# Whatever follows the image's name takes the place of `run table1`, for instance `hyprepro run table1 --scale smoke`.
FROM python:3.11-slim

WORKDIR /hyprepro
COPY . .
RUN pip install --no-cache-dir -e . -c constraints.txt

CMD ["hyprepro", "run", "table1"]
